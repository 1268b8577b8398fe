"""A visitor over HTTP: one server for all their tabs, a place in line, and the end of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.running_site import PERSON, SCRIPT, Running
from tests.support.world import wait_until
from tmpnb.core.server import NotebookServer, Phase, StopReason

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
pytestmark = pytest.mark.gen_test(timeout=30)


def body(answer: HTTPResponse) -> Any:
    return json.loads(answer.body)


def cookie_of(answer: HTTPResponse) -> dict[str, str]:
    """Return the cookie of an answer as a browser sends it again."""
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


async def fill(running: Running) -> list[NotebookServer]:
    """Let others take all there is."""
    return [await running.world.orchestrator.claims.claim() for _ in range(3)]


class TestOneServer:
    async def test_a_hundred_reloads_take_one_server(self, running: Running) -> None:
        fetch = running.public()
        first = await fetch("/spawn/lab", method="POST", headers=SCRIPT)
        cookie = cookie_of(first)
        for _ in range(50):
            for method in ("GET", "POST"):
                headers = (PERSON if method == "GET" else SCRIPT) | cookie
                again = await fetch("/spawn/lab", method=method, headers=headers)
                cookie = cookie_of(again)
                url = again.headers.get("Location") or body(again)["url"]
                assert url == body(first)["url"]
        assert running.taken == 1

    async def test_another_link_leads_to_the_same_server(self, running: Running) -> None:
        fetch = running.public()
        first = await fetch("/spawn/lab", method="POST", headers=SCRIPT)
        second = await fetch(
            "/spawn/doc/tree/b.ipynb?x=1", method="POST", headers=SCRIPT | cookie_of(first)
        )
        assert body(second)["url"].startswith(body(first)["url"].partition("lab")[0])
        assert "/doc/tree/b.ipynb?x=1&token=" in body(second)["url"]

    async def test_strangers_get_servers_of_their_own(self, running: Running) -> None:
        fetch = running.public()
        urls = {
            body(await fetch("/spawn", method="POST", headers=SCRIPT | extra))["url"]
            for extra in ({}, {}, {"Cookie": "tmpnb-visitor=somebody.else.entirely"})
        }
        assert len(urls) == 3

    async def test_starting_afresh_is_explicit_and_ends_the_old_one(self, running: Running) -> None:
        fetch = running.public()
        first = await fetch("/spawn", method="POST", headers=SCRIPT)
        (old,) = running.world.servers(Phase.CLAIMED)
        headers = SCRIPT | cookie_of(first) | {"Content-Type": "application/x-www-form-urlencoded"}
        second = await fetch("/spawn", method="POST", headers=headers, body="fresh=1")
        assert body(second)["url"] != body(first)["url"]
        assert old.reason is StopReason.CLOSED
        third = await fetch("/spawn", method="POST", headers=SCRIPT | cookie_of(second))
        assert body(third)["url"] == body(second)["url"]

    async def test_an_ended_server_is_followed_by_a_new_one(self, running: Running) -> None:
        fetch = running.public()
        first = await fetch("/spawn", method="POST", headers=SCRIPT)
        (old,) = running.world.servers(Phase.CLAIMED)
        running.world.orchestrator.claims.close(old)
        second = await fetch("/spawn", method="POST", headers=SCRIPT | cookie_of(first))
        assert body(second)["url"] != body(first)["url"]

    @pytest.mark.parametrize(
        ("scheme", "site"),
        [("http", "SameSite=Lax"), ("https", "Secure; SameSite=None; Partitioned")],
    )
    async def test_the_cookie_is_ours_alone(self, running: Running, scheme: str, site: str) -> None:
        headers = SCRIPT | {"X-Forwarded-Proto": scheme}
        answer = await running.public()("/spawn", method="POST", headers=headers)
        _, _, attributes = answer.headers["Set-Cookie"].partition("; ")
        assert attributes == f"Path=/spawn; Max-Age=14400; HttpOnly; {site}"

    async def test_pages_that_take_nothing_set_no_cookie(self, running: Running) -> None:
        fetch = running.public()
        for path in ("/", "/lab", "/info"):
            assert "Set-Cookie" not in (await fetch(path, headers=PERSON)).headers


class TestLine:
    async def test_a_visitor_waits_and_is_served_with_the_ticket(self, running: Running) -> None:
        fetch, others = running.public(), await fill(running)
        waiting = body(await fetch("/spawn/lab", method="POST", headers=SCRIPT))
        assert waiting["position"] == 1
        assert body(await fetch("/stats"))["waiting"] == 1
        running.world.orchestrator.claims.close(others[0])
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await fetch(
            "/spawn/lab",
            method="POST",
            headers=SCRIPT | form,
            body=f"ticket={waiting['ticket']}&wait=20",
        )
        assert "/lab?token=" in body(answer)["url"]
        assert body(await fetch("/stats"))["waiting"] == 0

    async def test_a_reload_keeps_the_place_by_cookie_or_by_ticket(self, running: Running) -> None:
        fetch = running.public()
        await fill(running)
        first = await fetch("/spawn", method="POST", headers=SCRIPT)
        await fetch("/spawn", method="POST", headers=SCRIPT)
        by_cookie = await fetch("/spawn", method="POST", headers=SCRIPT | cookie_of(first))
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        ticket = body(first)["ticket"]
        by_ticket = await fetch(
            "/spawn", method="POST", headers=SCRIPT | form, body=f"ticket={ticket}"
        )
        assert body(by_cookie)["ticket"] == body(by_ticket)["ticket"] == ticket
        assert body(by_cookie)["position"] == body(by_ticket)["position"] == 1

    async def test_without_javascript_the_page_keeps_the_place(self, running: Running) -> None:
        fetch = running.public()
        others = await fill(running)
        page = await fetch("/spawn/lab", headers=PERSON)
        assert page.code == 503
        assert b'http-equiv="refresh"' in page.body
        running.world.orchestrator.claims.close(others[0])
        await running.world.until_ready(1)
        assert (await fetch("/spawn/lab", headers=PERSON)).code == 503  # a newcomer waits
        again = await fetch("/spawn/lab", headers=PERSON | cookie_of(page))
        assert again.code == 302

    async def test_events_tell_the_place_and_the_turn(self, running: Running) -> None:
        fetch = running.public()
        others = await fill(running)
        tickets = [
            body(await fetch("/spawn", method="POST", headers=SCRIPT))["ticket"] for _ in "ab"
        ]
        seen: list[dict[str, str]] = []

        def note(chunk: bytes) -> None:
            events = chunk.decode().strip().split("\n\n")
            seen.extend(dict(line.split(": ", 1) for line in e.split("\n")) for e in events)

        stream = asyncio.create_task(
            fetch(f"/wait/{tickets[1]}", streaming_callback=note, request_timeout=20)
        )
        await wait_until(lambda: seen)
        assert json.loads(seen[0]["data"]) == {"position": 2, "estimate": None}
        running.world.orchestrator.claims.leave(tickets[0])
        running.world.orchestrator.claims.close(others[0])
        answer = await stream
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert seen[-1]["event"] == "turn"
        assert running.taken == 3  # the stream itself takes nothing

    async def test_a_lost_place_is_said(self, running: Running) -> None:
        seen: list[bytes] = []
        await running.public()("/wait/nobody", streaming_callback=seen.append)
        assert b"".join(seen) == b"event: lost\ndata: {}\n\n"

    async def test_a_program_may_wait_too(self, running: Running) -> None:
        fetch, others = running.public(), await fill(running)
        waits = asyncio.create_task(fetch("/api/spawn?wait=20", method="POST"))
        await wait_until(lambda: running.world.orchestrator.claims.waiting == 1)
        running.world.orchestrator.claims.close(others[0])
        assert (await waits).code == 200
        refused = await fetch("/api/spawn?wait=0.05", method="POST")
        assert refused.code == 429
        assert int(refused.headers["Retry-After"]) > 0
        assert running.world.orchestrator.claims.waiting == 0


class TestOwnServer:
    async def test_its_token_tells_how_long_it_has(self, running: Running) -> None:
        fetch = running.public()
        taken = body(await fetch("/api/spawn", method="POST"))
        token = {"Authorization": f"token {taken['token']}"}
        told = body(await fetch(f"/api/servers/{taken['id']}", headers=token))
        (server,) = running.world.servers(Phase.CLAIMED)
        assert told["url"] == taken["base_url"]
        assert told["expires_at"] == taken["expires_at"] == server.claimed_at + 1000
        assert told["claimed_at"] == server.claimed_at
        assert told["idle_at"] == pytest.approx(server.claimed_at + 100, abs=1)
        assert told["now"] >= server.claimed_at

    async def test_to_keep_it_begins_its_idle_clock_anew_within_its_age(
        self, running: Running
    ) -> None:
        fetch = running.public()
        taken = body(await fetch("/api/spawn", method="POST"))
        token = {"Authorization": f"token {taken['token']}"}
        running.world.clock.advance(90)
        address = f"/api/servers/{taken['id']}/extend"
        told = body(await fetch(address, method="POST", headers=token))
        assert told["idle_at"] == pytest.approx(told["now"] + 100, abs=1)
        running.world.clock.advance(50)
        await running.world.cull()
        (server,) = running.world.servers(Phase.CLAIMED)
        running.world.clock.advance(810)
        told = body(await fetch(address, method="POST", headers=token))
        assert told["idle_at"] == told["expires_at"] == taken["expires_at"]
        running.world.clock.advance(101)
        running.world.orchestrator.cull()
        await running.world.until_gone(server.id)

    async def test_it_can_be_stopped_and_has_ended_then(self, running: Running) -> None:
        fetch = running.public()
        taken = body(await fetch("/api/spawn", method="POST"))
        token = {"Authorization": f"token {taken['token']}"}
        address = f"/api/servers/{taken['id']}"
        assert (await fetch(address, method="DELETE", headers=token)).code == 204
        ended = await fetch(address, headers=token)
        assert ended.code == 404
        assert body(ended)["error"]["code"] == "server_ended"

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    async def test_another_token_opens_nothing(self, running: Running, method: str) -> None:
        fetch = running.public()
        mine, theirs = [body(await fetch("/api/spawn", method="POST")) for _ in "ab"]
        for headers in ({}, {"Authorization": f"token {mine['token']}"}):
            answer = await fetch(f"/api/servers/{theirs['id']}", method=method, headers=headers)
            assert answer.code == 401
        assert len(running.world.servers(Phase.CLAIMED)) == 2
