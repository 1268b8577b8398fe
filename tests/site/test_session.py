"""The page beside a notebook: who sees it, how the token travels, and what can be done there."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
import zipfile
from contextlib import ExitStack, nullcontext
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse
from tornado.simple_httpclient import HTTPStreamClosedError

from tests.support.running_site import PERSON, Fetch, Running
from tests.support.world import cookie_of, wait_until
from tmpnb.access.ties import SESSION
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import DownloadBrokenError
from tmpnb.orchestrator.culling.usage import FRESH
from tmpnb.visitors.downloads import AT_ONCE, Send

FORM = {
    **PERSON,
    "Sec-Fetch-Site": "same-origin",
    "Content-Type": "application/x-www-form-urlencoded",
}

pytestmark = pytest.mark.gen_test(timeout=30)


class Owner:
    """Somebody who has a server."""

    def __init__(self, running: Running, server: NotebookServer) -> None:
        self.running, self.server = running, server
        self.token = running.world.orchestrator.token_for(server.id)
        self.path = f"/session/{server.id}"
        self.cookie = cookie_of(running.world.orchestrator, SESSION, server.id)

    async def post(self, fetch: Fetch, path: str = "", **form: str) -> HTTPResponse:
        """Send a form from a browser that keeps no cookie; return the page that it leads to."""
        body = urlencode({"token": self.token} | form)
        answer = await fetch(self.path + path, method="POST", headers=FORM, body=body)
        is_sent_on = answer.code == 303
        return await fetch(location(answer), headers=PERSON) if is_sent_on else answer


async def owner_in(running: Running) -> Owner:
    return Owner(running, await running.world.orchestrator.claims.claim())


def location(answer: HTTPResponse) -> str:
    assert answer.code == 303
    return str(answer.headers["Location"])


class TestToken:
    async def test_it_leaves_the_address_for_a_cookie(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        first = await fetch(f"{owner.path}?token={owner.token}", headers=PERSON)
        assert owner.token not in location(first)
        cookie, _, attributes = first.headers["Set-Cookie"].partition("; ")
        assert attributes == f"Path={owner.path}; Max-Age=14400; HttpOnly; SameSite=Lax"
        headers = PERSON | {"Cookie": cookie}
        second = await fetch(location(first), headers=headers)
        assert location(second) == owner.path
        shown = await fetch(owner.path, headers=headers)
        assert shown.code == 200
        assert shown.headers["Cache-Control"] == "no-store"
        assert shown.headers["Referrer-Policy"] == "strict-origin"

    async def test_cookie_works_in_frames_over_https(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        headers = PERSON | {"X-Forwarded-Proto": "https"}
        answer = await fetch(f"{owner.path}?token={owner.token}", headers=headers)
        assert answer.headers["Set-Cookie"].endswith("; Secure; SameSite=None; Partitioned")

    async def test_without_cookies_the_page_keeps_it_in_its_forms(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        first = await fetch(f"{owner.path}?token={owner.token}", headers=PERSON)
        shown = await fetch(location(first), headers=PERSON)
        assert shown.code == 200
        assert shown.body.count(f'name="token" value="{owner.token}"'.encode()) == 4
        kept = await owner.post(fetch, do="keep")
        assert kept.code == 200
        assert b"It is kept" in kept.body

    @pytest.mark.parametrize("arrival", ["0", "9" * 400, "x.y", "٣.a"])
    async def test_what_brought_it_in_is_good_for_a_minute(
        self, running: Running, arrival: str
    ) -> None:
        fetch, owner = running.public(), await owner_in(running)
        sign = running.world.orchestrator.tokens.sign
        past = int(time.time()) - 10
        for value in (arrival, f"{past}.{sign(f'arrival:{owner.server.id}:{past}')}"):
            query = urlencode({"arrival": value})
            assert (await fetch(f"{owner.path}?{query}", headers=PERSON)).code == 403

    async def test_it_is_never_logged(
        self, running: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        fetch, owner = running.public(), await owner_in(running)
        with caplog.at_level(logging.DEBUG):
            first = await fetch(f"{owner.path}?token={owner.token}", headers=PERSON)
            await fetch(location(first), headers=PERSON)
            await owner.post(fetch, do="keep")
            await owner.post(fetch, do="nonsense")
        assert owner.path in caplog.text
        assert owner.token not in caplog.text
        assert "arrival=" not in caplog.text

    async def test_others_are_told_where_to_come_from(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        theirs = await owner_in(running)
        for query, headers in (
            ("", {}),
            ("?token=wrong", owner.cookie),
            (f"?token={theirs.token}", {}),
            ("", theirs.cookie),
            ("?arrival=1.2", {}),
        ):
            answer = await fetch(owner.path + query, headers=PERSON | headers)
            assert answer.code == 403
            assert b"the sign in the notebook&#x27;s corner leads here" in answer.body
            assert "Set-Cookie" not in answer.headers


class TestPage:
    async def test_it_says_how_long_and_leads_back(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        text = (await fetch(owner.path, headers=PERSON | owner.cookie)).body.decode()
        assert "<h1>2 minutes left</h1>" in text  # 100 seconds
        assert "Unless you use it, it closes at" in text
        assert "1970-01-12 13:4" in text
        assert f'href="/user/{owner.server.id}/?token={owner.token}"' in text

    async def test_to_keep_it_moves_the_end(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        running.world.clock.advance(95)
        answer = await owner.post(fetch, do="keep")
        assert b"<h1>2 minutes left</h1>" in answer.body
        assert b"It is kept until <time" in answer.body
        running.world.clock.advance(95)
        await running.world.cull()
        assert owner.server.phase is Phase.CLAIMED

    async def test_it_says_that_the_server_does_not_answer(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        said = b"does not answer at the moment"
        shown = await fetch(owner.path, headers=PERSON | owner.cookie)
        assert said not in shown.body
        running.world.clock.advance(FRESH + 1)
        owner.server.address = "http://127.0.0.1:1"
        shown = await fetch(owner.path, headers=PERSON | owner.cookie)
        assert shown.code == 200
        assert said in shown.body

    async def test_what_cannot_be_kept_offers_no_keeping(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        running.world.clock.advance(950)
        owner.server.kept_at = running.world.clock()
        text = (await fetch(owner.path, headers=PERSON | owner.cookie)).body.decode()
        assert '<form id="keep" method="post" hidden>' in text
        assert "<h1>1 minute left</h1>" in text

    @pytest.mark.parametrize("do", ["keep", "stop"])
    async def test_a_form_leads_to_a_page_that_back_and_reload_find_again(
        self, running: Running, do: str
    ) -> None:
        fetch, owner = running.public(), await owner_in(running)
        body = urlencode({"token": owner.token, "do": do})
        headers = FORM | owner.cookie
        answer = await fetch(owner.path, method="POST", headers=headers, body=body)
        assert location(answer) == owner.path + ("?kept=yes" if do == "keep" else "")
        for _ in "ab":
            page = await fetch(location(answer), headers=PERSON | owner.cookie)
            assert page.code == (200 if do == "keep" else 404)
            assert (b"It is kept until" in page.body) is (do == "keep")
        cookieless = await fetch(owner.path, method="POST", headers=FORM, body=body)
        assert "arrival=" in location(cookieless)
        assert owner.token not in location(cookieless)

    async def test_to_stop_it_says_so_at_once_and_later(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        answer = await owner.post(fetch, do="stop")
        assert answer.code == 404
        assert b"Its user stopped it" in answer.body
        assert owner.server.reason is StopReason.CLOSED
        await running.world.until_gone(owner.server.id)
        for path in (owner.path, f"/user/{owner.server.id}/lab"):
            gone = await fetch(path, headers=PERSON | owner.cookie)
            assert gone.code == 404
            assert b"Its user stopped it" in gone.body
            assert b"Reopen" in gone.body

    @pytest.mark.parametrize(
        "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}]
    )
    async def test_forms_of_other_pages_do_nothing(
        self, running: Running, headers: dict[str, str]
    ) -> None:
        fetch, owner = running.public(), await owner_in(running)
        sent = {n: v for n, v in FORM.items() if n != "Sec-Fetch-Site"} | owner.cookie | headers
        body = urlencode({"token": owner.token, "do": "stop"})
        for path in (owner.path, f"{owner.path}/files.zip"):
            answer = await fetch(path, method="POST", headers=sent, body=body)
            assert answer.code == 403
        assert owner.server.phase is Phase.CLAIMED

    @pytest.mark.parametrize("form", [{"token": ""}, {"token": "wrong"}, {"do": "dance"}])
    async def test_cookie_alone_does_nothing(self, running: Running, form: dict[str, str]) -> None:
        fetch, owner = running.public(), await owner_in(running)
        body = urlencode({"token": owner.token, "do": "stop"} | form)
        answer = await fetch(owner.path, method="POST", headers=FORM | owner.cookie, body=body)
        assert answer.code == (400 if "do" in form else 403)
        assert owner.server.phase is Phase.CLAIMED

    async def test_it_is_there_for_programs_servers_too(self, running: Running) -> None:
        fetch, owner = running.public(api_token="secret"), await owner_in(running)
        assert (await fetch(owner.path, headers=PERSON | owner.cookie)).code == 200
        answer = await owner.post(fetch, do="stop")
        assert b"/spawn" not in answer.body

    async def test_nothing_is_called_ended_before_it_is_known(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetch, owner = running.public(), await owner_in(running)
        running.world.orchestrator.claims.close(owner.server)
        await running.world.until_gone(owner.server.id)
        monkeypatch.setattr(type(running.world.orchestrator), "adopted", False)
        assert (await fetch(owner.path, headers=PERSON | owner.cookie)).code == 503
        assert (await owner.post(fetch, do="keep")).code == 503
        token = {"Authorization": f"token {owner.token}"}
        assert (await fetch(f"/api/servers/{owner.server.id}", headers=token)).code == 503


class PretendDownloads:
    """Sends what it is told to."""

    def __init__(self, *steps: bytes | BaseException) -> None:
        self.steps = steps
        self.ended_with: BaseException | None = None

    def place(self, server: NotebookServer) -> nullcontext[None]:
        return nullcontext()

    async def pack(self, server: NotebookServer, send: Send) -> None:
        try:
            for step in self.steps:
                if isinstance(step, BaseException):
                    raise step  # noqa: TRY301 - it plays what may happen there
                await send(step)
        except BaseException as error:
            self.ended_with = error
            raise


class TestFiles:
    async def test_form_cookie_and_token_get_the_archive(self, running: Running) -> None:
        """Pretend servers have no files, and the archive says that they could not be read."""
        fetch, owner = running.public(), await owner_in(running)
        path = f"{owner.path}/files.zip"
        for answer in (
            await owner.post(fetch, "/files.zip"),
            await fetch(path, headers=owner.cookie),
            await fetch(path, headers={"Authorization": f"token {owner.token}"}),
        ):
            assert answer.code == 200
            assert answer.headers["Content-Type"] == "application/zip"
            assert answer.headers["Content-Disposition"].startswith("attachment;")
            archive = zipfile.ZipFile(io.BytesIO(answer.body))
            assert b"/: the server answered 404" in archive.read("notebook-files/LEFT OUT.txt")

    async def test_nobody_else_gets_it(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        theirs = await owner_in(running)
        path = f"{owner.path}/files.zip"
        for headers in ({}, theirs.cookie, {"Authorization": f"token {theirs.token}"}):
            assert (await fetch(path, headers=headers)).code == 401
        assert (await fetch(f"{path}?token={owner.token}")).code == 401
        body = urlencode({"token": theirs.token})
        assert (await fetch(path, method="POST", headers=FORM, body=body)).code == 403

    async def test_it_keeps_the_server_meanwhile(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        running.world.clock.advance(95)
        await owner.post(fetch, "/files.zip")
        assert owner.server.kept_at == pytest.approx(running.world.clock(), abs=1)

    async def test_an_ended_notebook_has_none(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        running.world.orchestrator.claims.close(owner.server)
        answer = await owner.post(fetch, "/files.zip")
        assert answer.code == 404
        assert b"Its user stopped it" in answer.body

    async def test_too_many_at_once_are_refused(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        with ExitStack() as places:
            for _ in range(AT_ONCE):
                places.enter_context(running.site.downloads.place(owner.server))
            answer = await owner.post(fetch, "/files.zip")
        assert answer.code == 429
        assert b"being downloaded already" in answer.body
        assert (await owner.post(fetch, "/files.zip")).code == 200

    @pytest.mark.parametrize(
        "error", [TimeoutError(), DownloadBrokenError("it ended"), KeyError("a bug")]
    )
    async def test_half_an_archive_does_not_look_whole(
        self, running: Running, error: Exception
    ) -> None:
        fetch, owner = running.public(), await owner_in(running)
        running.pretend_downloads(PretendDownloads(b"PK half", error))
        with pytest.raises(HTTPStreamClosedError):
            await owner.post(fetch, "/files.zip")

    async def test_a_download_that_cannot_begin_says_so(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        broken = DownloadBrokenError("the notebook server does not answer")
        running.pretend_downloads(PretendDownloads(broken))
        answer = await owner.post(fetch, "/files.zip")
        assert answer.code == 503
        assert b"the notebook server does not answer" in answer.body
        assert "zip" not in answer.headers["Content-Type"]
        assert "Content-Disposition" not in answer.headers

    async def test_half_an_archive_does_not_look_whole_to_old_programs(
        self, running: Running
    ) -> None:
        """In HTTP/1.0, as nginx speaks it, an answer ends with its connection."""
        owner = await owner_in(running)
        pretend = PretendDownloads(b"PK half", DownloadBrokenError("it ended"))
        running.pretend_downloads(pretend)
        port = int(running.serve_public().split(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        token = f"Authorization: token {owner.token}"
        writer.write(f"GET {owner.path}/files.zip HTTP/1.0\r\nHost: x\r\n{token}\r\n\r\n".encode())
        try:
            with pytest.raises(ConnectionResetError):
                await reader.read()
        finally:
            writer.close()

    async def test_it_is_in_use_as_long_as_pieces_are_taken(self, running: Running) -> None:
        owner, world, phases = await owner_in(running), running.world, list[Phase]()

        async def slowly(_: bytes) -> None:
            world.clock.advance(60)
            world.orchestrator.cull()
            await world.passes(2)
            phases.append(owner.server.phase)

        await running.site.downloads.pack(owner.server, slowly)
        assert len(phases) > 1
        assert set(phases) == {Phase.CLAIMED}
        world.clock.advance(world.policy.max_idle)
        world.orchestrator.cull()
        await world.until_gone(owner.server.id)

    async def test_it_does_not_outlive_the_longest_time(self, running: Running) -> None:
        owner, world = await owner_in(running), running.world

        async def slowly(_: bytes) -> None:
            world.clock.advance(world.policy.max_age)
            await world.until_gone(owner.server.id)

        await running.site.downloads.pack(owner.server, slowly)

    async def test_it_stops_when_the_visitor_leaves(self, running: Running) -> None:
        owner = await owner_in(running)
        pretend = PretendDownloads(*[bytes(1_000_000)] * 10_000)
        running.pretend_downloads(pretend)
        address = running.serve_public()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.split(":")[2]))
        token = f"Authorization: token {owner.token}"
        writer.write(f"GET {owner.path}/files.zip HTTP/1.1\r\nHost: x\r\n{token}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        await wait_until(lambda: pretend.ended_with is not None, "the packing stops")


class TestEnd:
    """What `/user/<id>/…` says."""

    async def end(self, running: Running, reason: StopReason) -> str:
        owner = await owner_in(running)
        running.world.orchestrator.parts.fleet.stop(owner.server, reason)
        await running.world.until_gone(owner.server.id)
        return owner.server.id

    async def test_person_is_told_why_and_when(self, running: Running) -> None:
        fetch = running.public()
        server_id = await self.end(running, StopReason.IDLE)
        answer = await fetch(f"/user/{server_id}/lab/tree/a.ipynb?x=1", headers=PERSON)
        assert answer.code == 404
        assert b"Nobody had used it for 2 minutes" in answer.body
        assert b'<time datetime="1970-01-12T' in answer.body
        assert b'action="/spawn/lab/tree/a.ipynb?x=1"' in answer.body

    async def test_program_is_told_in_its_words_and_ours(self, running: Running) -> None:
        fetch = running.public()
        server_id = await self.end(running, StopReason.TOO_OLD)
        answer = await fetch(f"/user/{server_id}/api/contents/x", method="PUT", body="{}")
        told: dict[str, Any] = json.loads(answer.body)
        assert answer.code == 410
        assert told["error"]["code"] == "server_ended"
        assert told["error"]["reason"] == "too_old"
        assert told["error"]["ended_at"] == pytest.approx(running.world.clock(), abs=10)
        assert "It had reached the time limit" in told["message"]

    async def test_a_crash_is_called_one(self, running: Running) -> None:
        fetch, owner = running.public(), await owner_in(running)
        running.world.kill(owner.server.id)
        await running.world.until_gone(owner.server.id)
        answer = await fetch(f"/user/{owner.server.id}/", headers=PERSON)
        assert b"It ended by itself" in answer.body

    async def test_proxy_shows_the_same_when_it_finds_nobody(self, running: Running) -> None:
        fetch = running.public()
        server_id = await self.end(running, StopReason.EXITED)
        answer = await fetch(f"/proxy-error/503?url=/user/{server_id}/lab", headers=PERSON)
        assert answer.code == 404
        assert b"It ended by itself" in answer.body

    async def test_reopened_address_is_alive_again(self, running: Running) -> None:
        fetch = running.public()
        server_id = await self.end(running, StopReason.IDLE)
        form = urlencode({"token": running.world.orchestrator.token_for(server_id)})
        await fetch(f"/spawn/user/{server_id}/lab", method="POST", headers=FORM, body=form)
        answer = await fetch(f"/user/{server_id}/api/kernels", headers=PERSON)
        assert json.loads(answer.body)["error"]["code"] == "route_lost"
