"""How much of what an address may have under way one place, one visitor and one notebook take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.running_site import SCRIPT, Running
from tests.support.world import gate_of, wait_until
from tmpnb.access.gate import Gate
from tmpnb.access.limits import LEAST_AT_ONCE
from tmpnb.orchestrator.claims import line
from tmpnb.spawners.base import ServerSpec
from tmpnb.visitors import arrivals, identity
from tmpnb.visitors.arrivals import Arrivals
from tmpnb.web.pages.spawn import LONGEST_POLL

pytestmark = pytest.mark.gen_test(timeout=30)

ADDRESS = "203.0.113.9"
FORM = SCRIPT | {"X-Forwarded-For": ADDRESS, "Content-Type": "application/x-www-form-urlencoded"}
MANY = LEAST_AT_ONCE + 6  # requests of one person, more than the address may have under way


class House:
    """People who share an address, where each may have two notebooks."""

    def __init__(self, running: Running) -> None:
        self.gate: Gate = gate_of(running.world.orchestrator, clock=running.world.clock, servers=2)
        self._fetch = running.public(gate=self.gate)

    @property
    def under_way(self) -> int:
        return self.gate.limits._asking[ADDRESS]

    async def wait(self, ticket: str) -> HTTPResponse:
        return await self._fetch(f"/wait/{ticket}", headers=FORM, request_timeout=30)

    async def spawn(self, path: str = "", cookie: str = "", **form: object) -> HTTPResponse:
        headers = FORM | ({"Cookie": cookie} if cookie else {})
        return await self._fetch(
            f"/spawn{path}",
            method="POST",
            headers=headers,
            body=urlencode(form),
            request_timeout=30,
        )

    async def flood(
        self, ask: Callable[[], Coroutine[Any, Any, HTTPResponse]]
    ) -> list[asyncio.Task[HTTPResponse]]:
        """Ask many times, each once the one before is held or answered; return all."""
        asked: list[asyncio.Task[HTTPResponse]] = []
        for _ in range(MANY):
            before = self.under_way
            task = asyncio.create_task(ask())
            await wait_until(lambda t=task, b=before: t.done() or self.under_way > b)  # type: ignore[misc]
            asked.append(task)
        return asked


def cookie_of(answer: HTTPResponse) -> str:
    return str(answer.headers["Set-Cookie"].partition(";")[0])


def code_of(answer: HTTPResponse) -> str:
    return str(json.loads(answer.body)["error"]["code"])


def end_all(running: Running) -> None:
    """Let all who wait have their answers."""
    for server in list(running.world.pool.servers.values()):
        if running.world.orchestrator.claims.live(server.id):
            running.world.orchestrator.claims.close(server)


@pytest.mark.parametrize("how", ["stream", "poll"])
async def test_one_place_in_line_leaves_the_address_to_others(running: Running, how: str) -> None:
    house, claims = House(running), running.world.orchestrator.claims
    for _ in range(3):
        await claims.claim()
    mine, others = [json.loads((await house.spawn()).body)["ticket"] for _ in range(2)]

    async def ask() -> HTTPResponse:
        if how == "stream":
            return await house.wait(mine)
        return await house.spawn(ticket=mine, wait=LONGEST_POLL)

    asked = await house.flood(ask)
    at_once = [task.result() for task in asked if task.done()]
    assert len(at_once) == MANY - line.MOST_WAITS
    assert {answer.code for answer in at_once} == {200 if how == "stream" else 503}, "told, not 429"
    told = b'{"position": 1, "estimate": null}'
    assert all(told in answer.body or b'"position": 1,' in answer.body for answer in at_once)
    assert house.under_way <= LEAST_AT_ONCE // 8
    neighbour = asyncio.create_task(house.wait(others))
    await wait_until(lambda: claims.ticket(others).waits)
    assert (await house.spawn(ticket=others)).code == 503, "they are told of their place as well"
    end_all(running)
    assert (await neighbour).body.endswith(b"event: turn\ndata: {}\n\n")
    assert {(await task).code for task in asked} <= {200, 503}
    await wait_until(lambda: not house.under_way)


async def test_who_waits_with_as_many_pages_as_may_is_told_of_the_turn_as_well(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "MOST_WAITS", 0)
    house, claims = House(running), running.world.orchestrator.claims
    for _ in range(3):
        await claims.claim()
    ticket = json.loads((await house.spawn()).body)["ticket"]
    told = 'data: {"position": 1, "estimate": null}\n\n'
    assert (await house.wait(ticket)).body.decode() == f"retry: 15000\n\n{told}"
    end_all(running)
    await running.world.until_ready(3)
    told = told.replace("null", "5")
    turn = "event: turn\ndata: {}\n\n"
    assert (await house.wait(ticket)).body.decode() == f"retry: 15000\n\n{told}{turn}"


async def whose_notebook_has_ended(
    house: House, running: Running, monkeypatch: pytest.MonkeyPatch
) -> tuple[HTTPResponse, str, asyncio.Event]:
    """Return the answer to a visitor, the id that they had, and what lets servers start again."""
    world = running.world
    first = await house.spawn()
    server_id = json.loads(first.body)["url"].split("/")[2]
    end_all(running)
    await world.until_gone(server_id)
    await world.until_ready(3)
    go, start = asyncio.Event(), world.spawner.start

    async def slow(spec: ServerSpec) -> str:
        await go.wait()
        return await start(spec)

    monkeypatch.setattr(world.spawner, "start", slow)
    return first, server_id, go


async def test_one_visitor_whose_notebook_starts_leaves_the_address_to_others(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(running)
    first, server_id, go = await whose_notebook_has_ended(house, running, monkeypatch)
    asked = await house.flood(lambda: house.spawn(f"/user/{server_id}", cookie_of(first)))
    refused = [task.result() for task in asked if task.done()]
    assert len(refused) == MANY - identity.MOST_JOINED
    assert {(answer.code, code_of(answer)) for answer in refused} == {(429, "client_limit")}
    assert house.under_way <= LEAST_AT_ONCE // 2
    assert (await house.spawn()).code == 200, "a neighbour takes a notebook"
    go.set()
    assert {(await task).code for task in asked if task not in refused} == {200, 429}
    await wait_until(lambda: not house.under_way)


async def test_two_dozen_frames_of_one_article_are_all_led_to_the_one_notebook(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By HTTP/2 a browser asks for all of them at once."""
    house = House(running)
    first, server_id, go = await whose_notebook_has_ended(house, running, monkeypatch)
    path, cookie = f"/user/{server_id}", cookie_of(first)
    frames = [asyncio.create_task(house.spawn(path, cookie)) for _ in range(24)]
    await wait_until(lambda: house.under_way == 24 or any(frame.done() for frame in frames))
    go.set()
    answers = [await frame for frame in frames]
    assert [answer.code for answer in answers] == [200] * 24
    assert len({answer.body for answer in answers}) == 1


async def test_who_loads_again_while_their_notebook_starts_is_not_refused(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were hung up on do not count."""
    house = House(running)
    first, server_id, go = await whose_notebook_has_ended(house, running, monkeypatch)
    requests = (
        f"POST /spawn/user/{server_id} HTTP/1.1\r\nHost: site.example\r\n"
        f"Accept: application/json\r\nX-Forwarded-For: {ADDRESS}\r\n"
        f"Cookie: {cookie_of(first)}\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    port = int(running.serve_public(gate=house.gate).rpartition(":")[2])
    for _ in range(2 * identity.MOST_JOINED):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(requests)
        await wait_until(lambda: house.under_way == 1)
        writer.close()
        await wait_until(lambda: not house.under_way)
    last = asyncio.create_task(
        running.fetch(
            f"http://127.0.0.1:{port}/spawn/user/{server_id}",
            method="POST",
            headers=FORM | {"Cookie": cookie_of(first)},
            body="",
        )
    )
    await wait_until(lambda: house.under_way == 1)
    go.set()
    assert (await last).code == 200


async def test_one_notebook_that_stalls_leaves_the_address_to_others(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked about a file, for each of many cookies that name it."""
    house, go = House(running), asyncio.Event()

    async def stalls(*_: object) -> None:
        await go.wait()

    cookie = cookie_of(await house.spawn())
    monkeypatch.setattr(Arrivals, "_kind", stalls)
    asked = await house.flood(lambda: house.spawn("/tree/a.txt", cookie))
    at_once = [task.result() for task in asked if task.done()]
    assert len(at_once) == MANY - arrivals.MOST_LOOKS
    assert {answer.code for answer in at_once} == {200}
    assert house.under_way <= LEAST_AT_ONCE // 8
    assert (await house.spawn()).code == 200, "a neighbour takes a notebook"
    go.set()
    assert {(await task).code for task in asked} == {200}
    await wait_until(lambda: not house.under_way)
