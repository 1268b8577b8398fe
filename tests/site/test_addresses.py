"""Every address of the service, over a running pool of pretend servers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tornado.httpclient import HTTPResponse
from tornado.simple_httpclient import HTTPTimeoutError

from tests.support.running_site import HTML, PERSON, SCRIPT, Running
from tests.support.world import wait_until
from tmpnb.core.server import Phase, StopReason
from tmpnb.errors import ConfigError
from tmpnb.web.base import BaseHandler
from tmpnb.web.cors import Cors
from tmpnb.web.pages.gone import _path_of
from tmpnb.web.pages.spawn import seconds

pytestmark = pytest.mark.gen_test(timeout=20)


def body(answer: HTTPResponse) -> Any:
    return json.loads(answer.body)


# Pages never take a server


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["/", "/lab", "/tree/a/b", "/notebooks/x.ipynb", "/files/a.csv", "/doc/x", "/edit/y"]
)
async def test_pages_take_nothing(running: Running, path: str, method: str) -> None:
    answer = await running.public()(path, method=method, headers=PERSON)
    assert answer.code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert running.taken == 0


async def test_loading_page_leads_to_spawn_with_path_and_query_to_the_letter(
    running: Running,
) -> None:
    path = "/notebooks/a%20b/%C3%A9t%C3%A9%23.ipynb?x=1%202&y=%26"
    answer = await running.public()(path, headers=PERSON)
    assert b"/spawn" + path.replace("&y", "&amp;y").encode() in answer.body


async def test_pages_forbid_foreign_scripts_and_frames(running: Running) -> None:
    fetch = running.public(frame_ancestors="'self' https://journal.example")
    policy = (await fetch("/", headers=PERSON)).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'self' https://journal.example" in policy


async def test_markup_in_an_address_is_escaped(running: Running) -> None:
    fetch = running.public()
    for path in ("/user/x/%3Cscript%3E", "/lab/%22%3E%3Cscript%3E", "/%3Cscript%3E"):
        assert b"<script>" not in (await fetch(path, headers=PERSON)).body


# Taking a server


async def test_post_takes_a_server_and_redirects(running: Running) -> None:
    answer = await running.public()("/spawn", method="POST", headers=PERSON)
    [server] = running.world.servers(Phase.CLAIMED)
    token = running.world.orchestrator.token_for(server.id)
    assert answer.code == 303
    assert answer.headers["Location"] == f"/user/{server.id}/lab?token={token}"


async def test_script_gets_the_url_as_json(running: Running) -> None:
    headers = {**SCRIPT, "Sec-Fetch-Site": "same-origin"}
    answer = await running.public()("/spawn/tree/x.ipynb?a=b", method="POST", headers=headers)
    [server] = running.world.servers(Phase.CLAIMED)
    assert answer.code == 200
    assert body(answer)["url"].startswith(f"/user/{server.id}/notebooks/x.ipynb?a=b&token=")


async def test_get_spawn_takes_one_for_a_person_and_decodes_nothing(running: Running) -> None:
    """O2, O3: the original lost the query and put the decoded path into Location."""
    path = "/spawn/notebooks/a%20b%23c%3Fd/%C3%A9.ipynb?q=%20%2B&r"
    answer = await running.public()(path, headers=PERSON)
    assert answer.code == 302
    location = answer.headers["Location"]
    assert "/notebooks/a%20b%23c%3Fd/%C3%A9.ipynb?q=%20%2B&r&token=" in location


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Moz": "prefetch"},
        {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"},
        {"User-Agent": "Slackbot-LinkExpanding 1.0"},
        {"Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Dest": "script"},
    ],
)
async def test_machines_take_nothing(running: Running, headers: dict[str, str]) -> None:
    answer = await running.public()("/spawn/lab", headers=headers)
    assert answer.code in (200, 503)
    assert "Location" not in answer.headers
    assert running.taken == 0


async def test_head_of_spawn_takes_nothing(running: Running) -> None:
    assert (await running.public()("/spawn", method="HEAD", headers=PERSON)).code == 200
    assert running.taken == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_foreign_page_takes_nothing(running: Running, headers: dict[str, str]) -> None:
    answer = await running.public()("/spawn", method="POST", headers={**HTML, **headers})
    assert answer.code == 403
    assert running.taken == 0


@pytest.mark.parametrize(
    "path", ["/spawn/../admin", "/spawn/%2e%2e/x", "/spawn/a%5Cb", "/spawn/a%0d%0ab", "/lab?<x>"]
)
async def test_bad_link_is_refused_in_words(running: Running, path: str) -> None:
    answer = await running.public()(path, headers=PERSON)
    assert answer.code == 400
    assert running.taken == 0


async def test_double_slash_never_leaves_the_site(running: Running) -> None:
    answer = await running.public()("/spawn//evil.example/x", headers=PERSON)
    assert answer.headers["Location"].startswith("/user/")


async def test_empty_pool_is_503_with_retry_after_and_a_page(running: Running) -> None:
    """O7: the original said 200 and let everybody come back in step."""
    fetch = running.public()
    for _ in range(3):
        assert (await fetch("/spawn", headers=PERSON)).code == 302
    answer = await fetch("/spawn/lab", method="POST", headers=PERSON)
    assert answer.code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert b"/spawn/lab" in answer.body
    told = await fetch("/spawn", method="POST", headers=SCRIPT)
    assert told.code == 503
    place = body(told)
    assert place.pop("ticket")
    assert place == {
        "status": "full",
        "retry_after": 10,
        "available": 0,
        "starting": 0,
        "capacity": 3,
        "position": 2,
        "estimate": None,
    }
    refused = await fetch("/api/spawn", method="POST")
    assert refused.code == 429
    assert body(refused)["status"] == "full"
    assert int(refused.headers["Retry-After"]) > 0


async def test_file_below_tree_is_opened_where_notebook_7_would_lead(running: Running) -> None:
    fetch = running.public()
    location = (await fetch("/spawn/tree/deep/x.ipynb", headers=PERSON)).headers["Location"]
    assert "/notebooks/deep/x.ipynb?token=" in location
    location = (await fetch("/spawn/tree/folder", headers=PERSON)).headers["Location"]
    assert "/tree/folder?token=" in location


# Servers that are gone


async def test_person_is_told_that_the_notebook_has_ended(running: Running) -> None:
    answer = await running.public()("/user/gonegonegone/lab/tree/a%20b.ipynb", headers=PERSON)
    assert answer.code == 404
    assert b"/spawn/user/gonegonegone/lab/tree/a%20b.ipynb" in answer.body
    assert b'"/spawn/lab/tree/a%20b.ipynb"' in answer.body
    assert running.taken == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/user/gone/api/kernels"),
        ("GET", "/user/gone/api/contents/x.ipynb"),
        ("PUT", "/user/gone/api/contents/x.ipynb"),
        ("POST", "/user/gone/api/kernels"),
        ("PATCH", "/user/gone/api/sessions/1"),
        ("DELETE", "/user/gone/api/kernels/1"),
        ("PUT", "/user/gone/files/x"),
        ("PUT", "/user/gone/files/api/contents"),
    ],
)
async def test_program_is_told_so_in_json(running: Running, method: str, path: str) -> None:
    """O5: the original answered 200 HTML, and 405 to the last save."""
    payload = None if method in ("GET", "DELETE") else "x" * 3_000_000
    answer = await running.public()(path, method=method, headers=HTML, body=payload)
    assert answer.code == (404 if "/gone/api/kernels" in path else 410)
    assert body(answer)["error"]["code"] == "server_ended"
    assert body(answer)["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Dest": "script"},
        {"Sec-Fetch-Dest": "empty", "Accept": "text/html"},
        {"Upgrade": "websocket", "Connection": "Upgrade"},
    ],
)
async def test_parts_of_an_open_page_get_no_page(running: Running, headers: dict[str, str]) -> None:
    answer = await running.public()("/user/gone/terminals/websocket/1", headers=headers)
    assert answer.code == 410
    assert body(answer)["error"]["code"] == "server_ended"
    assert len(answer.body) < 300


async def test_live_server_whose_route_was_lost_is_not_called_ended(running: Running) -> None:
    fetch = running.public()
    server = await running.world.orchestrator.claims.claim()
    answer = await fetch(f"/user/{server.id}/lab", headers=PERSON)
    assert answer.code == 503
    assert int(answer.headers["Retry-After"]) > 0
    answer = await fetch(f"/user/{server.id}/api/kernels", headers=PERSON)
    assert body(answer)["error"]["code"] == "route_lost"


async def test_ready_server_is_not_betrayed_by_its_path(running: Running) -> None:
    server = running.world.servers(Phase.READY)[0]
    answer = await running.public()(f"/user/{server.id}/lab", headers=PERSON)
    assert answer.code == 404


async def test_page_of_the_proxys_error_target_is_honest(running: Running) -> None:
    fetch = running.public()
    answer = await fetch("/proxy-error/503?url=%2Fuser%2Fx%2Flab%3Ftoken%3Dabc", headers=HTML)
    assert answer.code == 503
    assert b"abc" not in answer.body
    server = await running.world.orchestrator.claims.claim()
    answer = await fetch(f"/proxy-error/503?url=/user/{server.id}/lab", headers=HTML)
    assert answer.code == 503
    assert (await fetch("/proxy-error/200", headers=HTML)).code == 502


async def test_page_of_the_error_target_says_that_a_link_is_broken_and_what_is_meant(
    running: Running,
) -> None:
    """With whatever status a proxy that has failed at it asks."""
    for status in (400, 500):
        asked = f"/proxy-error/{status}?url=%2Flab%2Ftree%2F100%25.ipynb%3Ftoken%3Dabc"
        answer = await running.public()(asked, headers=HTML)
        assert answer.code == 400
        assert b"This link is broken" in answer.body
        assert b'<a href="/lab/tree/100%25.ipynb">' in answer.body
        assert b"abc" not in answer.body


@pytest.mark.parametrize("bad", ["%2Fuser%2F%25E0%25A4%25A%2Flab", "%2F%25ff"])
async def test_no_link_is_offered_that_does_not_lead_to_a_place_of_ours(
    running: Running, bad: str
) -> None:
    answer = await running.public()(f"/proxy-error/500?url={bad}", headers=HTML)
    assert answer.code == 400
    assert b"Did you mean" not in answer.body


async def test_programs_are_told_in_json_by_the_error_target(running: Running) -> None:
    """The proxy asks for them as for everybody: their address tells."""
    fetch = running.public()
    server = await running.world.orchestrator.claims.claim()
    for path, status, code in (
        ("%2Fuser%2Fx%2Fapi%2Fcontents%2F5%25", 400, "bad_link"),
        (f"/user/{server.id}/api/kernels", 503, "route_lost"),
        ("/user/nobody/api/kernels", 503, "service_unavailable"),
    ):
        answer = await fetch(f"/proxy-error/503?url={path}", headers={})
        assert answer.code == status
        assert body(answer)["error"]["code"] == code
    running.world.orchestrator.claims.close(server)
    answer = await fetch(f"/proxy-error/503?url=/user/{server.id}/api/kernels", headers={})
    assert body(answer)["error"]["code"] == "server_ended"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/user/x/lab?token=abc#top", "/user/x/lab"),
        ("//evil.example/user/x", "/user/x"),
        ("https://n.example:8000/user/x/é", "/user/x/é"),
        ("http://[n.example/user/x", "/user/x"),
        ("?/user/x", ""),
        ("", ""),
    ],
)
def test_path_of_an_address_is_found_whatever_it_is(url: str, path: str) -> None:
    assert _path_of(url) == path


# Programs


async def test_api_spawn_answers_with_url_id_and_token(running: Running) -> None:
    answer = await running.public()("/api/spawn/", method="POST", body='{"image_name": "x"}')
    [server] = running.world.servers(Phase.CLAIMED)
    token = running.world.orchestrator.token_for(server.id)
    assert answer.code == 200
    base_url = f"http://{urlsplit(answer.effective_url).netloc}/user/{server.id}/"
    assert body(answer) == {
        "url": f"{base_url}?token={token}",
        "base_url": base_url,
        "id": server.id,
        "token": token,
        "expires_at": server.claimed_at + 1000.0,
    }


@pytest.mark.parametrize("path", ["/stats", "/stats/", "/api/stats", "/api/stats/"])
async def test_stats_are_json_at_the_address_itself(running: Running, path: str) -> None:
    """O9: the original redirected /stats, without cross-origin headers."""
    fetch = running.public(cors=Cors(("*",)))
    answer = await fetch(path)
    assert answer.code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert body(answer) == {
        "available": 3,
        "capacity": 3,
        "starting": 0,
        "claimed": 0,
        "stopping": 0,
        "claims_total": 0,
        "claims_refused_total": 0,
        "claims_refused_by_limit_total": 0,
        "waiting": 0,
        "version": "9.9",
        "container_image": "",
    }


@pytest.mark.parametrize(
    ("path", "status"), [("/api/nothing", 404), ("/nothing", 404), ("/user/gone/api/x", 410)]
)
async def test_errors_carry_the_cross_origin_headers_too(
    running: Running, path: str, status: int
) -> None:
    answer = await running.public(cors=Cors(("*",)))(path)
    assert answer.code == status
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_api_errors_are_json_and_pages_are_pages(running: Running) -> None:
    """O6: in the original every error was the page of error 500."""
    fetch = running.public()
    wrong_method = await fetch("/api/spawn", headers=HTML)
    assert wrong_method.code == 405
    assert body(wrong_method)["error"]["code"] == "method_not_allowed"
    page = await fetch("/nothing", headers=PERSON)
    assert page.code == 404
    assert page.headers["Content-Type"].startswith("text/html")


async def test_api_token_guards_all_and_takes_the_pages_away(running: Running) -> None:
    fetch = running.public(api_token="s3cret-s3cret")
    for path in ("/", "/spawn", "/lab", "/info"):
        assert (await fetch(path, headers=PERSON)).code == 404
    for headers in ({}, {"Authorization": "token wrong"}, {"Authorization": "s3cret-s3cret"}):
        for method, path in (("POST", "/api/spawn"), ("GET", "/api/stats"), ("GET", "/stats")):
            assert (await fetch(path, method=method, headers=headers)).code == 401
    assert running.taken == 0
    for scheme in ("token", "Bearer"):
        allowed = {"Authorization": f"{scheme} s3cret-s3cret"}
        assert (await fetch("/api/stats", headers=allowed)).code == 200
    answer = await fetch("/api/spawn", method="POST", headers=allowed)
    assert answer.code == 200


async def test_drain_is_on_the_admin_port_only_and_needs_its_token(running: Running) -> None:
    assert (await running.public()("/api/pool", method="DELETE")).code == 404
    admin = running.admin(admin_token="adm1n-adm1n")
    assert (await admin("/api/pool", method="DELETE")).code == 401
    answer = await admin(
        "/api/pool", method="DELETE", headers={"Authorization": "token adm1n-adm1n"}
    )
    assert body(answer) == {"drained": 3}
    await running.world.until_ready(3)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "the key image alone"),
        (b"{}", "the key image alone"),
        (b'{"image": "a", "more": 1}', "the key image alone"),
        (b'{"image": 5}', "not the name of an image"),
        (b'{"image": ""}', "not the name of an image"),
        (b'{"image": "a b"}', "not the name of an image"),
        (b'{"image": "--flag"}', "not the name of an image"),
        (b'{"image": "a\\u000d\\u000aX: y"}', "not the name of an image"),
    ],
)
async def test_rollout_refuses_a_body_it_cannot_read(
    running: Running, sent: bytes, words: str
) -> None:
    answer = await running.admin()("/api/pool", method="POST", body=sent)
    assert answer.code == 400
    assert words in body(answer)["error"]["message"]


async def test_rollout_is_on_the_admin_port_only_and_needs_its_token(running: Running) -> None:
    sent = b'{"image": "other:2"}'
    assert (await running.public()("/api/pool", method="POST", body=sent)).code == 404
    admin = running.admin(admin_token="adm1n-adm1n")
    assert (await admin("/api/pool", method="POST", body=sent)).code == 401
    answer = await admin(
        "/api/pool", method="POST", body=sent, headers={"Authorization": "token adm1n-adm1n"}
    )
    assert body(answer) == {"image": "other:2", "drained": 2}  # the third made place for the trial
    assert body(await running.public()("/stats"))["container_image"] == "other:2"


async def test_rollout_of_an_engine_without_images_says_so(running: Running) -> None:
    async def no_images(image: str) -> None:
        raise ConfigError(f"servers of this engine have no image, so {image} cannot be used")

    running.world.spawner.prepare = no_images  # type: ignore[method-assign]  # as the local one
    answer = await running.admin()("/api/pool", method="POST", body=b'{"image": "other:2"}')
    assert answer.code == 409
    assert body(answer)["error"]["code"] == "image_failed"
    assert "have no image" in body(answer)["error"]["message"]


async def test_readiness_is_200_only_while_a_visitor_can_be_served(running: Running) -> None:
    fetch = running.public()
    answer = await fetch("/health/ready")
    assert answer.code == 200
    assert body(answer) == {
        "ready": True,
        "checks": {"engine": True, "proxy": True, "servers": True},
    }
    for _ in range(3):
        await running.world.orchestrator.claims.claim()
    answer = await running.admin()("/health/ready")
    assert answer.code == 503
    assert body(answer)["checks"] == {"engine": True, "proxy": True, "servers": False}
    assert (await fetch("/health")).code == 200


async def test_health_says_when_it_last_looked_and_how_many_files_it_may_open(
    running: Running,
) -> None:
    vitals = body(await running.public(open_files=1024, open_files_needed=88)("/health"))
    assert vitals["open_files"] == {"limit": 1024, "needed": 88}
    assert 0 <= vitals["last_pass_age"] < 60


async def test_last_error_stays_in_words_on_the_admin_port_when_it_is_over(
    running: Running,
) -> None:
    health = running.world.orchestrator.health
    admin = running.admin()
    assert body(await admin("/health"))["last_error"] is None
    health.report("engine", "the socket is gone")
    health.solved("engine")
    told = body(await admin("/health"))
    assert told["status"] == "ok"
    assert told["last_error"]["message"] == "engine: the socket is gone"
    assert "last_error" not in body(await running.public()("/health"))


@pytest.mark.parametrize("path", ["/spawn", "/api/spawn"])
async def test_server_of_a_visitor_who_left_during_the_claim_is_stopped(
    running: Running, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, fetch = running.world.proxy, running.public()
    reached, left, release = asyncio.Event(), asyncio.Event(), asyncio.Event()
    add_route, close = proxy.add_route, BaseHandler.on_connection_close

    def closed(handler: BaseHandler) -> None:
        close(handler)
        left.set()

    async def slow(server_id: str, target: str) -> None:
        reached.set()
        await release.wait()
        await add_route(server_id, target)

    monkeypatch.setattr(BaseHandler, "on_connection_close", closed)
    proxy.add_route = slow  # type: ignore[method-assign]  # a proxy that takes its time
    visit = asyncio.create_task(fetch(path, method="POST", headers=SCRIPT, request_timeout=0.2))
    await reached.wait()
    (server,) = (s for s in running.world.pool.servers.values() if s.phase is Phase.CLAIMED)
    with pytest.raises(HTTPTimeoutError):
        await visit
    await left.wait()
    release.set()
    await running.world.until_gone(server.id)
    assert server.reason is StopReason.ABANDONED


async def test_health_names_the_trouble_and_only_the_admin_port_its_words(
    running: Running,
) -> None:
    # Of a topic that no pass clears meanwhile.
    running.world.orchestrator.health.report("attic", "the inside of the engine")
    public = await running.public()("/health")
    assert public.code == 200
    assert body(public)["status"] == "degraded"
    assert "attic" in body(public)["problems"]
    assert b"inside" not in public.body
    admin = await running.admin()("/health")
    assert body(admin)["problems"]["attic"]["message"] == "the inside of the engine"


async def test_info_shows_the_numbers_without_javascript(running: Running) -> None:
    await running.world.orchestrator.claims.claim()
    await wait_until(lambda: running.world.pool.stats().available == 2)
    page = (await running.public()("/info", headers=PERSON)).body.decode()
    assert "claimed" in page.lower()
    assert "9.9" in page


async def test_robots_are_told_to_stay_out(running: Running) -> None:
    text = (await running.public()("/robots.txt")).body.decode()
    assert "Disallow: /user/" in text
    assert "Disallow: /spawn" in text


async def test_operators_template_takes_the_place_of_ours(running: Running, tmp_path: Path) -> None:
    (tmp_path / "loading.html").write_text("Welcome to the course, {{ capacity }} seats")
    fetch = running.public(template_path=tmp_path)
    assert (await fetch("/", headers=PERSON)).body == b"Welcome to the course, 3 seats"
    assert (await fetch("/info", headers=PERSON)).code == 200


async def test_static_files_are_served(running: Running) -> None:
    answer = await running.public()("/static/tmpnb.css")
    assert answer.code == 200
    assert answer.headers["Content-Type"].startswith("text/css")


@pytest.mark.parametrize("text", ["1_0", "\uff11\uff10", "\u0661", "inf", "nan", "-1", "", "x"])
def test_what_is_no_number_on_a_keyboard_is_no_time_to_wait(text: str) -> None:
    assert seconds(text) == 0
    assert seconds("10") == 10
    assert seconds("1e3") == 1000
