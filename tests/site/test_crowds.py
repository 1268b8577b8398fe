"""Crowds: a thousand looks of machines take nothing, fifty visitors are served in turn."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.clients import AHEAD, CHROME, IMAGE, MACHINES
from tests.support.running_site import PERSON, SCRIPT, Running
from tests.support.world import wait_until
from tmpnb.core.server import Phase
from tmpnb.web.routes import public_application

CRAWLERS = [{"User-Agent": agent, "Accept": "text/html,*/*"} for agent in MACHINES.values()]
PREFETCHES = [PERSON | extra for extra in AHEAD.values()]
IMAGES = [
    {"User-Agent": CHROME, "Accept": IMAGE, "Sec-Fetch-Dest": "image"},
    {"User-Agent": CHROME, "Accept": "image/png,image/*;q=0.8,*/*;q=0.5"},
]
AT_ONCE = 20  # requests
PATHS = [
    "/",
    "/lab",
    "/notebooks/a%20b.ipynb?x=1",
    "/spawn",
    "/spawn/lab/tree/a.ipynb",
    "/spawn/git-pull?repo=https%3A%2F%2Fgit.example%2Fx&urlpath=lab",
    "/spawn/user/gone12345678/lab",
    "/wait/nobody",
    "/embed?path=lab",
    "/badge.svg",
    "/embed.js",
    "/user/gone12345678/",
    "/user/gone12345678/lab?token=x",
    "/api/spawn",
]

pytestmark = pytest.mark.gen_test(timeout=60)


def looks() -> list[tuple[str, str, dict[str, str]]]:
    """Return method, path and headers of each look that is nobody's wish for a notebook."""
    machines = itertools.product(("GET", "HEAD"), PATHS, [*CRAWLERS, *PREFETCHES, *IMAGES])
    people = itertools.product(["HEAD"], PATHS, [PERSON, {"User-Agent": CHROME}])
    return [*machines, *people]


@pytest.mark.parametrize("full", [False, True], ids=["with room", "full"])
async def test_a_thousand_looks_of_machines_take_neither_server_nor_place(
    running: Running, full: bool
) -> None:
    fetch = running.public()
    claims = running.world.orchestrator.claims
    others = [await claims.claim() for _ in range(3 if full else 0)]
    asked = looks()
    assert len(asked) >= 1_000
    for some in (asked[at : at + AT_ONCE] for at in range(0, len(asked), AT_ONCE)):
        answers = await asyncio.gather(
            *(fetch(path, method=method, headers=headers) for method, path, headers in some)
        )
        for (method, path, headers), answer in zip(some, answers, strict=True):
            told = f"{method} {path} {headers}: {answer.code}"
            assert not 300 <= answer.code < 400, told
            assert "Set-Cookie" not in answer.headers, told
    assert running.taken == len(others)
    assert claims.waiting == 0
    assert len(running.world.servers(Phase.READY)) == 3 - len(others)
    person = await fetch("/spawn/lab", headers=PERSON)
    assert person.code == (503 if full else 302), "a person takes one by the same address"


class Visitor:
    """One who opens the page, waits for the turn and takes a server with the ticket."""

    def __init__(self, running: Running, base: str, served: list[str]) -> None:
        self._running, self._base, self._served = running, base, served
        self.ticket = ""

    async def arrive(self) -> str | None:
        """Ask for a server; return its URL, or nothing when in line."""
        answer = await self._ask()
        self.ticket = answer.get("ticket", "")
        return answer.get("url")

    async def wait(self) -> str:
        """Wait for the turn by events; return the URL of the server."""
        heard: list[bytes] = []
        await self._running.fetch(
            f"{self._base}/wait/{self.ticket}", streaming_callback=heard.append, request_timeout=50
        )
        assert b"event: turn" in b"".join(heard)
        self._served.append(self.ticket)
        return str((await self._ask(f"ticket={self.ticket}&wait=20"))["url"])

    async def _ask(self, form: str = "") -> Any:
        answer = await self._running.fetch(
            f"{self._base}/spawn/lab",
            method="POST",
            headers=SCRIPT | {"Content-Type": "application/x-www-form-urlencoded"},
            body=form,
        )
        return json.loads(answer.body)


async def test_fifty_visitors_on_a_pool_of_ten_are_served_in_order_each_once() -> None:
    async with AsyncExitStack() as stack:
        running = Running(10, stack)
        await running.start()
        claims, served = running.world.orchestrator.claims, list[str]()
        base = running.serve(public_application(running.site))
        visitors = [Visitor(running, base, served) for _ in range(50)]
        given = [url for visitor in visitors if (url := await visitor.arrive())]
        assert len(given) == 10
        tickets = [visitor.ticket for visitor in visitors[10:]]
        assert claims.waiting == len(set(tickets)) == 40
        waiting = [asyncio.create_task(visitor.wait()) for visitor in visitors[10:]]
        for count in range(1, 41):
            claims.close(running.world.servers(Phase.CLAIMED)[0])
            await wait_until(lambda count=count: running.taken == 10 + count, f"{count} served")
        given += await asyncio.gather(*waiting)
        assert served == tickets
        assert len(set(given)) == 50
        assert running.taken == 50
        assert claims.waiting == 0
