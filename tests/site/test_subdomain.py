"""The service whose servers have hosts of their own: what is at which host."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.running_site import HTML, PERSON, SCRIPT, Running
from tests.support.world import cookie_of
from tmpnb.access.ties import SESSION
from tmpnb.core.server import NotebookServer
from tmpnb.core.subdomains import Subdomains
from tmpnb.orchestrator.loop import Orchestrator
from tmpnb.orchestrator.timing import Timing
from tmpnb.web.pages.gone import MOST_COOKIES

pytestmark = pytest.mark.gen_test(timeout=30)

MAIN = "notebooks.test:8000"
FORM = {
    **PERSON,
    "Sec-Fetch-Site": "same-origin",
    "Content-Type": "application/x-www-form-urlencoded",
}


class Site:
    """The site, asked at one host or another."""

    def __init__(self, running: Running, **changes: Any) -> None:
        self.running = running
        self._fetch = running.public(subdomains=Subdomains("notebooks.test"), **changes)

    async def at(self, host: str, path: str, **options: Any) -> HTTPResponse:
        headers = {"Host": host, **options.pop("headers", HTML)}
        return await self._fetch(path, headers=headers, **options)

    async def owned(self) -> tuple[NotebookServer, str, dict[str, str]]:
        """Return a claimed server, its host and its owner's headers."""
        server = await self.running.world.orchestrator.claims.claim()
        token = self.running.world.orchestrator.token_for(server.id)
        return server, host_of(server), {"Authorization": f"token {token}"}

    async def ended(self) -> tuple[NotebookServer, str]:
        server, host, _ = await self.owned()
        self.running.world.orchestrator.claims.close(server)
        await self.running.world.until_gone(server.id)
        return server, host


def host_of(server: NotebookServer) -> str:
    return f"{server.id.lower()}.{MAIN}"


def location(answer: HTTPResponse) -> str:
    assert answer.code in (302, 303), answer.code
    return str(answer.headers["Location"])


async def test_a_visitor_is_sent_to_the_host_of_the_server_with_its_token(
    running: Running,
) -> None:
    answer = await Site(running).at(
        MAIN, "/spawn/lab/tree/a.ipynb", method="POST", headers=FORM, body=""
    )
    place, _, query = location(answer).partition("?")
    server_id = place.split("/")[4]
    assert place == f"http://{server_id.lower()}.{MAIN}/user/{server_id}/lab/tree/a.ipynb"
    assert query == f"token={running.world.orchestrator.token_for(server_id)}"


async def test_a_script_is_told_that_host_too(running: Running) -> None:
    site = Site(running)
    answer = await site.at(MAIN, "/spawn", method="POST", headers=FORM | SCRIPT, body="")
    assert f".{MAIN}/user/" in json.loads(answer.body)["url"]


async def test_scheme_and_port_are_those_the_visitor_used(running: Running) -> None:
    site = Site(running)
    headers = FORM | {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.test"}
    answer = await site.at("notebooks.test", "/spawn", method="POST", headers=headers, body="")
    assert location(answer).startswith("https://")
    assert location(answer).partition("/user/")[0].endswith(".notebooks.test")


@pytest.mark.parametrize("asked", [MAIN, "127.0.0.1:9999", "evil.test"])
async def test_programs_get_addresses_at_the_host_of_the_server(
    running: Running, asked: str
) -> None:
    site = Site(running, public_url="https://notebooks.test")
    taken = json.loads((await site.at(asked, "/api/spawn", method="POST", body="")).body)
    base = f"https://{taken['id'].lower()}.notebooks.test/user/{taken['id']}/"
    assert taken["base_url"] == base
    assert taken["url"] == f"{base}?token={taken['token']}"
    headers = {"Authorization": f"token {taken['token']}"}
    told = json.loads((await site.at(asked, f"/api/servers/{taken['id']}", headers=headers)).body)
    assert told["url"] == base


async def test_forms_of_our_pages_may_lead_to_the_servers_and_nowhere_else(
    running: Running,
) -> None:
    answer = await Site(running).at(MAIN, "/")
    assert f"form-action 'self' http://*.{MAIN};" in answer.headers["Content-Security-Policy"]
    plain = await running.public()("/", headers=HTML)
    assert "form-action 'self';" in plain.headers["Content-Security-Policy"]


async def test_the_page_beside_a_notebook_leads_back_to_its_host(running: Running) -> None:
    site = Site(running)
    server, host, headers = await site.owned()
    token = headers["Authorization"].split()[1]
    cookie = HTML | cookie_of(running.world.orchestrator, SESSION, server.id)
    page = await site.at(MAIN, f"/session/{server.id}", headers=cookie)
    assert f'href="http://{host}/user/{server.id}/?token={token}"' in page.body.decode()


class TestServersHost:
    async def test_its_pages_may_ask_how_long_it_lasts(self, running: Running) -> None:
        site = Site(running)
        server, host, headers = await site.owned()
        told = await site.at(host, f"/api/servers/{server.id}", headers=headers)
        assert json.loads(told.body)["id"] == server.id
        kept = await site.at(
            host, f"/api/servers/{server.id}/extend", method="POST", headers=headers, body=""
        )
        assert kept.code == 200
        assert (await site.at(host, f"/api/servers/{server.id}")).code == 401

    @pytest.mark.parametrize(
        "path", ["/", "/session/x?token=y", "/spawn", "/stats", "//evil.test/"]
    )
    async def test_our_pages_are_at_our_own_host(self, running: Running, path: str) -> None:
        answer = await Site(running).at(f"ab3.{MAIN}", path)
        assert location(answer) == f"http://{MAIN}{path}"
        assert running.taken == 0

    @pytest.mark.parametrize("path", ["/spawn", "/api/spawn", "/session/x", "/spawn/user/x"])
    async def test_no_notebook_can_post_in_our_name(self, running: Running, path: str) -> None:
        answer = await Site(running).at(f"ab3.{MAIN}", path, method="POST", headers=FORM, body="")
        assert answer.code == 404
        assert running.taken == 0

    async def test_files_of_the_page_that_reconnects_are_there(self, running: Running) -> None:
        site = Site(running)
        server, host, _ = await site.owned()
        page = await site.at(host, f"/user/{server.id}/lab")
        assert page.code == 503
        assert "Reconnecting" in page.body.decode()
        for path in ("/static/reload.js", "/static/tmpnb.css", "/robots.txt"):
            assert (await site.at(host, path)).code == 200

    async def test_a_person_at_an_ended_server_is_sent_to_the_page_that_says_so(
        self, running: Running
    ) -> None:
        site = Site(running)
        server, host = await site.ended()
        answer = await site.at(host, f"/user/{server.id}/lab/tree/a.ipynb?token=t&x=1")
        path = f"/user/{server.id}/lab/tree/a.ipynb?x=1"
        assert location(answer) == f"http://{MAIN}{path}"
        page = await site.at(MAIN, path)
        assert page.code == 404
        assert "This notebook has ended" in page.body.decode()

    async def test_what_an_ended_server_kept_in_the_browser_goes(self, running: Running) -> None:
        site = Site(running)
        server, host = await site.ended()
        headers = HTML | {"Cookie": "_xsrf=a; username-x=b", "X-Forwarded-Proto": "https"}
        gone = await site.at(host, f"/user/{server.id}/lab", headers=headers)
        assert gone.headers["Clear-Site-Data"] == '"storage"'
        removed = gone.headers.get_list("Set-Cookie")
        for name in ("_xsrf", "username-x"):
            start = f"{name}=; Path=/user/{server.id}/; Max-Age=0; HttpOnly; Secure"
            assert sum(c.startswith(start) for c in removed) == 2
        assert len(removed) == 4
        name, _, port = host.partition(":")
        dotted = await site.at(f"{name}.:{port}", f"/user/{server.id}/lab", headers=headers)
        assert dotted.headers["Clear-Site-Data"] == '"storage"'

    async def test_of_its_cookies_so_many_are_named_and_none_whose_name_cannot_be(
        self, running: Running
    ) -> None:
        """The browser sends what the notebook made up."""
        site = Site(running)
        server, host = await site.ended()
        made_up = "; ".join(["a:b=c", f"{'x' * 129}=c", *(f"c{number}=x" for number in range(50))])
        gone = await site.at(host, f"/user/{server.id}/lab", headers=HTML | {"Cookie": made_up})
        removed = gone.headers.get_list("Set-Cookie")
        assert len(removed) == MOST_COOKIES
        assert {cookie[0] for cookie in removed} == {"c"}

    async def test_nothing_goes_of_a_server_that_lives_or_may_live(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = Site(running)
        server, host, _ = await site.owned()
        other, other_host = await site.ended()
        cookie = HTML | {"Cookie": "_xsrf=a"}
        for at, path in (
            (host, f"/user/{server.id}/lab"),
            (host, f"/user/{other.id}/lab"),
            (other_host, f"/user/{server.id}/lab"),
            (other_host, "/user/made-up/lab"),
            (f"made-up.{MAIN}", "/user/made-up/lab"),
            (MAIN, f"/user/{other.id}/lab"),
        ):
            answer = await site.at(at, path, headers=cookie)
            assert "Clear-Site-Data" not in answer.headers, (at, path)
            assert "Set-Cookie" not in answer.headers
        opening = NotebookServer(other.id, 0.0)  # as by "Reopen at the same address"
        with monkeypatch.context() as patch:
            patch.setitem(running.world.pool.servers, other.id, opening)
            answer = await site.at(other_host, f"/user/{other.id}/lab", headers=cookie)
            assert "Clear-Site-Data" not in answer.headers
        monkeypatch.setattr(Orchestrator, "adopted", False)
        unknown = await site.at(other_host, f"/user/{other.id}/lab", headers=cookie)
        assert "Clear-Site-Data" not in unknown.headers

    async def test_a_tab_of_an_ended_server_is_told_in_json(self, running: Running) -> None:
        site = Site(running)
        server, host = await site.ended()
        for method, body in (("GET", None), ("PUT", "{}")):
            path = f"/user/{server.id}/api/contents/a"
            answer = await site.at(host, path, method=method, headers=SCRIPT, body=body)
            assert answer.code == 410
            assert json.loads(answer.body)["error"]["code"]

    async def test_the_proxys_error_page_waits_for_the_next_answer(self, running: Running) -> None:
        site = Site(running)
        server, _ = await site.ended()
        asked = urlencode({"url": f"/user/{server.id}/lab"})
        page = await site.at("127.0.0.1:9999", f"/proxy-error/503?{asked}")
        assert "Reconnecting" in page.body.decode()


class TestOurHost:
    async def test_a_live_server_is_where_its_host_is(self, running: Running) -> None:
        site = Site(running)
        server, host, _ = await site.owned()
        for asked in (MAIN, f"other.{MAIN}"):
            answer = await site.at(asked, f"/user/{server.id}/lab?token=t")
            assert location(answer) == f"http://{host}/user/{server.id}/lab?token=t"

    async def test_only_an_id_that_can_name_a_host_is_reopened(self, running: Running) -> None:
        site = Site(running)
        timing = Timing(user_length=6, lower_case=True)
        running.world.orchestrator._timing = timing
        token_for = running.world.orchestrator.token_for
        for server_id, is_one in (("Ab3cde", False), ("a_bcde", False), ("ab3cde", True)):
            body = urlencode({"token": token_for(server_id)})
            path = f"/spawn/user/{server_id}"
            answer = await site.at(MAIN, path, method="POST", headers=FORM, body=body)
            if is_one:
                place = f"http://{server_id}.{MAIN}/user/{server_id}/"
                assert location(answer).startswith(place)
            else:
                assert answer.code == 404

    async def test_no_server_can_say_over_https_who_a_visitor_is(self, running: Running) -> None:
        site = Site(running)
        https = FORM | {"X-Forwarded-Proto": "https"}
        first = await site.at("notebooks.test", "/spawn", method="POST", headers=https, body="")
        cookie = first.headers["Set-Cookie"]
        assert cookie.startswith("__Host-tmpnb-visitor-test-443=")
        assert "; Path=/;" in cookie
        assert "; Secure" in cookie
        sent, _, value = cookie.partition(";")[0].partition("=")
        for name, is_same in ((sent, True), (sent.removeprefix("__Host-"), False)):
            headers = https | {"Cookie": f"{name}={value}"}
            again = await site.at(
                "notebooks.test", "/spawn", method="POST", headers=headers, body=""
            )
            assert (location(again) == location(first)) is is_same

    async def test_over_http_the_cookie_is_as_without_subdomains(self, running: Running) -> None:
        answer = await Site(running).at(MAIN, "/spawn", method="POST", headers=FORM, body="")
        assert answer.headers["Set-Cookie"].startswith("tmpnb-visitor-test-8000=")
        assert "; Path=/spawn;" in answer.headers["Set-Cookie"]
