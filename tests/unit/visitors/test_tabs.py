"""One visitor with many tabs: one server or one place, and none that ends but by their word."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.callers import FORM
from tests.support.running_site import SCRIPT, Fetch, Running
from tests.support.world import gate_of, wait_until
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import PoolEmptyError
from tmpnb.system.signing import TokenMaker
from tmpnb.visitors.identity import Visitor, Visitors

pytestmark = pytest.mark.gen_test(timeout=30)


def body(answer: HTTPResponse) -> Any:
    return json.loads(answer.body)


def cookie_of(answer: HTTPResponse) -> dict[str, str]:
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


def at(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def fill(running: Running) -> list[NotebookServer]:
    return [await running.world.orchestrator.claims.claim() for _ in range(3)]


OLD = "oldoldoldold"  # an id as the service makes them


async def post(fetch: Fetch, path: str = "/spawn", **form: Any) -> HTTPResponse:
    headers = SCRIPT | FORM | form.pop("headers", {})
    return await fetch(path, method="POST", headers=headers, body=urlencode(form))


async def reopen(running: Running, fetch: Fetch, server_id: str = OLD, **form: Any) -> HTTPResponse:
    """Ask for the address of a server of the past, as who had it."""
    token = running.world.orchestrator.token_for(server_id)
    return await post(fetch, f"/spawn/user/{server_id}/lab", token=token, **form)


def waiting(running: Running) -> int:
    return running.world.orchestrator.claims.waiting


class TestOnePlace:
    async def test_tabs_that_ask_at_once_share_it(self, running: Running) -> None:
        fetch = running.public()
        cookie = cookie_of(await post(fetch))
        (own,) = running.world.servers(Phase.CLAIMED)
        running.world.orchestrator.claims.close(own)
        await running.world.until_ready(3)
        await fill(running)
        tabs = await asyncio.gather(*(post(fetch, headers=cookie) for _ in range(5)))
        assert len({body(tab)["ticket"] for tab in tabs}) == 1
        assert waiting(running) == 1

    async def test_tabs_whose_claim_fails_on_the_way_share_it(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetch, claims, go = running.public(), running.world.orchestrator.claims, asyncio.Event()
        cookie = cookie_of(await post(fetch))
        claims.close(running.world.servers(Phase.CLAIMED)[0])

        async def die() -> NotebookServer:
            await go.wait()
            raise PoolEmptyError("it was dead")

        monkeypatch.setattr(claims, "claim", die)
        tabs = [asyncio.create_task(post(fetch, headers=cookie)) for _ in range(3)]
        asking = running.site.visitors._asking
        await wait_until(lambda: [len(requests) for requests in asking.values()] == [3])
        monkeypatch.setattr(claims._room, "_is_turn", lambda _: False)
        go.set()
        assert len({body(await tab)["ticket"] for tab in tabs}) == 1
        assert waiting(running) == 1

    async def test_who_gets_a_server_after_all_gives_up_the_place(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetch, claims, go = running.public(), running.world.orchestrator.claims, asyncio.Event()
        cookie, claim = cookie_of(await post(fetch)), claims.claim
        claims.close(running.world.servers(Phase.CLAIMED)[0])
        tries: list[int] = []

        async def second_lives() -> NotebookServer:
            await go.wait()
            tries.append(1)
            if len(tries) == 1:
                raise PoolEmptyError("it was dead")
            return await claim()

        monkeypatch.setattr(claims, "claim", second_lives)
        monkeypatch.setattr(claims._room, "_is_turn", lambda _: False)
        await running.world.until_ready(3)
        tabs = [asyncio.create_task(post(fetch, headers=cookie)) for _ in range(2)]
        asking = running.site.visitors._asking
        await wait_until(lambda: [len(requests) for requests in asking.values()] == [2])
        go.set()
        assert any("url" in body(answer) for answer in await asyncio.gather(*tabs))
        assert waiting(running) == 0

    async def test_a_place_for_an_old_server_does_not_hide_the_one_they_have(
        self, running: Running
    ) -> None:
        fetch, others = running.public(), await fill(running)
        running.world.orchestrator.claims.close(others[0])
        await running.world.until_ready(1)
        own = await post(fetch)
        waits = await reopen(running, fetch, headers=cookie_of(own))
        assert (waits.code, waiting(running)) == (503, 1)
        assert body(await post(fetch, headers=cookie_of(own)))["url"] == body(own)["url"]
        assert waiting(running) == 1

    async def test_tabs_that_wait_are_all_served_with_one_server(self, running: Running) -> None:
        fetch, others = running.public(), await fill(running)
        first = await post(fetch)
        ticket, cookie = body(first)["ticket"], cookie_of(first)
        tabs = [
            asyncio.create_task(post(fetch, wait=20, headers=cookie)),
            asyncio.create_task(post(fetch, wait=20, ticket=ticket)),  # keeps no cookie
            asyncio.create_task(post(fetch, wait=20, ticket=ticket, headers=cookie)),
        ]
        (place,) = running.world.orchestrator.claims._room.line
        await wait_until(lambda: place.waits == 3)
        running.world.orchestrator.claims.close(others[0])
        answers = [body(await tab) for tab in tabs]
        assert len({answer.get("url") or answer["ticket"] for answer in answers}) == 1
        late = body(await post(fetch, ticket=ticket))
        assert late["url"] == answers[0]["url"]
        assert (running.taken, waiting(running)) == (4, 0)

    async def test_a_ticket_of_the_past_does_not_hide_the_place(self, running: Running) -> None:
        fetch = running.public()
        await fill(running)
        first = await post(fetch)
        again = await post(fetch, ticket="of-long-ago", headers=cookie_of(first))
        assert body(again)["ticket"] == body(first)["ticket"]
        assert waiting(running) == 1

    async def test_places_of_tabs_without_a_cookie_become_the_first(self, running: Running) -> None:
        fetch, others = running.public(), await fill(running)
        one, other = await post(fetch), await post(fetch)
        between = await post(fetch)
        cookie = cookie_of(other)  # the browser keeps the latter
        tickets = [body(tab)["ticket"] for tab in (one, other)]
        for ticket in (*tickets, *reversed(tickets)):
            again = await post(fetch, ticket=ticket, headers=cookie)
            assert body(again)["ticket"] == tickets[1], "the browser's own, at the first place"
            assert body(again)["position"] == 1
            cookie = cookie_of(again)
        assert waiting(running) == 2
        running.world.orchestrator.claims.close(others[0])
        await running.world.until_ready(1)
        served = await post(fetch, ticket=tickets[1], headers=cookie)
        assert "url" in body(served)
        again = await post(fetch, ticket=tickets[0], headers=cookie_of(served))
        assert body(again)["url"] == body(served)["url"]
        assert body(await post(fetch, headers=cookie_of(between)))["position"] == 1

    async def test_nobody_is_known_by_a_ticket_that_was_made_up(self, running: Running) -> None:
        fetch = running.public()
        await fill(running)
        first = await post(fetch)
        stranger = await post(fetch, ticket=body(first)["ticket"][:-1] + "!")
        assert body(stranger)["position"] == 2


class TestReopening:
    async def test_it_waits_in_the_same_line(self, running: Running) -> None:
        fetch, others = running.public(), await fill(running)
        waits = [await post(fetch) for _ in range(5)]
        running.world.orchestrator.claims.close(others[0])
        await running.world.until_ready(1)
        newcomer = await reopen(running, fetch)
        assert (newcomer.code, body(newcomer)["position"]) == (503, 6)
        assert body(await post(fetch, ticket=body(waits[0])["ticket"]))["url"]
        for wait in waits[1:]:
            running.world.orchestrator.claims.leave(body(wait)["ticket"])
        ticket = body(newcomer)["ticket"]
        turn = asyncio.create_task(reopen(running, fetch, ticket=ticket, wait=20))
        running.world.orchestrator.claims.close(others[1])
        assert f"/user/{OLD}/lab?" in body(await turn)["url"]
        assert waiting(running) == 0

    async def test_a_double_click_opens_one_and_a_reload_leads_back(self, running: Running) -> None:
        fetch = running.public()
        first = await post(fetch)
        cookie = cookie_of(first)
        tabs = await asyncio.gather(*(reopen(running, fetch, headers=cookie) for _ in range(3)))
        urls = {body(tab)["url"] for tab in tabs}
        urls.add(body(await reopen(running, fetch, headers=cookie))["url"])
        assert len(urls) == 1
        assert running.taken == 2

    async def test_an_address_that_is_in_use_costs_the_pool_nothing(self, running: Running) -> None:
        fetch = running.public()
        ready = {server.id for server in running.world.servers(Phase.READY)}
        for server_id in ready:
            assert (await reopen(running, fetch, server_id)).code == 409
        assert {server.id for server in running.world.servers(Phase.READY)} == ready


class TestStartingAfresh:
    async def taken(self, running: Running, fetch: Fetch, **headers: str) -> NotebookServer:
        self.cookie = cookie_of(await post(fetch, headers=headers))
        (server,) = running.world.servers(Phase.CLAIMED)
        return server

    async def test_who_may_take_none_from_here_keeps_the_one_from_there(
        self, running: Running
    ) -> None:
        gate = gate_of(running.world.orchestrator, clock=running.world.clock, servers=1)
        fetch = running.public(gate=gate)
        own = await self.taken(running, fetch, **at("203.0.113.9"))
        assert (await post(fetch, headers=at("198.51.100.1"))).code == 200
        refused = await post(fetch, fresh=1, headers=self.cookie | at("198.51.100.1"))
        assert refused.code == 429
        assert own.phase is Phase.CLAIMED

    @pytest.mark.parametrize("empty", [True, False])
    @pytest.mark.parametrize("why", ["proxy", "serving", "engine", "start", "line"])
    async def test_who_would_get_none_keeps_theirs(
        self, running: Running, monkeypatch: pytest.MonkeyPatch, why: str, empty: bool
    ) -> None:
        fetch, claims = running.public(), running.world.orchestrator.claims
        own = await self.taken(running, fetch)
        if empty or why in ("line", "engine", "start"):
            for _ in range(2):
                await claims.claim()
        if why in ("proxy", "engine", "start"):
            running.world.orchestrator.health.report(why, "away")
        if why == "serving":
            monkeypatch.setattr(running.world.parts.stage, "bars", SimpleNamespace(barred=True))
        if why == "line":
            monkeypatch.setattr(claims._room.line, "_longest", 0)
        refused = await post(fetch, fresh=1, headers=self.cookie)
        assert refused.code == 503
        assert "ticket" not in body(refused)
        assert own.phase is Phase.CLAIMED
        assert waiting(running) == 0

    async def test_a_double_click_ends_one_and_takes_one(self, running: Running) -> None:
        fetch = running.public()
        own = await self.taken(running, fetch)
        tabs = await asyncio.gather(*(post(fetch, fresh=1, headers=self.cookie) for _ in "abc"))
        assert len({body(tab)["url"] for tab in tabs}) == 1
        assert own.reason is StopReason.CLOSED
        assert running.taken == 2

    async def test_where_none_is_ready_the_old_one_makes_place(self, running: Running) -> None:
        fetch = running.public()
        own = await self.taken(running, fetch)
        for _ in range(2):
            await running.world.orchestrator.claims.claim()
        told = await post(fetch, fresh=1, headers=self.cookie)
        assert (told.code, body(told)["position"]) == (503, 1)
        assert own.reason is StopReason.CLOSED
        served = await post(fetch, ticket=body(told)["ticket"], wait=20, headers=cookie_of(told))
        assert "url" in body(served)
        assert own.id not in body(served)["url"]


class TestVisitors:
    async def test_memory_knows_better_than_an_old_cookie(self) -> None:
        live = {i: NotebookServer(i, 0.0, Phase.CLAIMED) for i in ("old", "new")}
        visitors = Visitors(TokenMaker(b"a key for tests only"), live.get)
        visitors.note(Visitor("key"), "new")
        assert visitors.server_of(Visitor("key", "old")) is live["new"]

    async def test_each_who_waits_looks_again_before_taking(self) -> None:
        """Those who wait for a claim that fails take in turn, never two at once."""
        live: dict[str, NotebookServer] = {}
        visitors, under_way, most = Visitors(TokenMaker(b"key"), live.get), 0, 0

        async def fail() -> NotebookServer:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            under_way -= 1
            raise RuntimeError

        visitor = Visitor("key")
        tabs = (visitors.server_for(visitor, fail) for _ in range(5))
        found = await asyncio.gather(*tabs, return_exceptions=True)
        assert all(isinstance(one, RuntimeError) for one in found)
        assert most == 1
