"""Pretend visitors: they take servers through the proxy, and talk to them over websockets."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from benchmarks.common.visitors import BROWSER, SCRIPT
from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import MAX_ANSWER, Client

TIMEOUT = 60.0  # seconds for one request, one handshake, one echo
WEBSOCKETS_AT_ONCE = 50  # handshakes


@dataclass(slots=True)
class Tally:
    """What went well, how long it took, and what went wrong. Times in seconds."""

    claims: list[float] = field(default_factory=list)  # POST /spawn
    visits: list[float] = field(default_factory=list)  # from GET / to the notebook page
    echoes: list[float] = field(default_factory=list)  # from a message to its echo
    sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)  # by what went wrong


class Visitor:
    """One person with one server."""

    def __init__(self, url: str, address: str) -> None:
        self.server_id = address.split("/")[2]
        self.base = f"/user/{self.server_id}/"
        self._token = address.rpartition("token=")[2]
        self._root = url
        self.websockets: list[WebSocketClientConnection] = []

    async def open_websocket(self) -> None:
        """Open one more, as a notebook page does for each kernel.

        Raises:
            HTTPClientError: It was refused.
            OSError: It did not come about.
        """
        root = self._root.replace("http://", "ws://", 1)
        request = HTTPRequest(
            f"{root}{self.base}api/kernels/stub/channels",
            headers={"Authorization": f"token {self._token}"},
            connect_timeout=TIMEOUT,
            request_timeout=TIMEOUT,
        )
        self.websockets.append(await websocket_connect(request))


class Crowd:
    """All the visitors of one run, and the tally of what they met."""

    def __init__(self, url: str) -> None:
        self.visitors: list[Visitor] = []
        self.tally = Tally()
        self._url = url
        self._client = Client(MAX_ANSWER)
        self._quiet = asyncio.Event()

    async def arrive(self, count: int, at_once: int) -> None:
        """Let so many visitors take a server each."""
        await _each([self._visit] * count, at_once)

    async def open_websockets(self, each: int) -> None:
        """Open so many websockets to each server."""

        def opening(visitor: Visitor) -> Callable[[], Awaitable[None]]:
            return lambda: self._open(visitor)

        await _each([opening(v) for v in self.visitors for _ in range(each)], WEBSOCKETS_AT_ONCE)

    async def talk(self, seconds: float, every: float) -> None:
        """Send a message on each websocket every so often; every one must come back."""
        self._quiet.clear()
        async with asyncio.TaskGroup() as group:
            for visitor in self.visitors:
                for number, websocket in enumerate(visitor.websockets):
                    name = f"{visitor.server_id}/{number}"
                    group.create_task(self._converse(websocket, name, every))
            await asyncio.sleep(seconds)
            self._quiet.set()

    async def until_sent_away(self, seconds: float) -> None:
        """Return once every websocket was closed by its server's end."""
        closing = [w.read_message() for v in self.visitors for w in v.websockets]
        try:
            async with asyncio.timeout(seconds):
                left = await asyncio.gather(*closing)
            for _ in filter(None, left):
                self.tally.errors["a message that nobody sent"] += 1
        except TimeoutError:
            self.tally.errors["websockets outlived their server"] += 1

    async def routes_left(self) -> list[str]:
        """Return the servers whose address still leads anywhere; all should have ended."""
        left: list[str] = []

        def asking(visitor: Visitor) -> Callable[[], Awaitable[None]]:
            async def ask() -> None:
                answer = await self._client.fetch(
                    f"{self._url}{visitor.base}api", timeout=TIMEOUT, headers=SCRIPT
                )
                if answer.code not in (404, 410) or b"server_ended" not in answer.body:
                    left.append(visitor.server_id)

            return ask

        await _each([asking(v) for v in self.visitors], WEBSOCKETS_AT_ONCE)
        return left

    def leave(self) -> None:
        """Close every connection."""
        for visitor in self.visitors:
            for websocket in visitor.websockets:
                websocket.close()
        self._client.close()

    async def _visit(self) -> None:
        """Do what a browser does up to the notebook page."""
        begun = time.perf_counter()
        try:
            page = await self._client.fetch(f"{self._url}/", timeout=TIMEOUT, headers=BROWSER)
            asked = time.perf_counter()
            taken = await self._client.fetch(
                f"{self._url}/spawn", timeout=TIMEOUT, method="POST", headers=SCRIPT
            )
            given = time.perf_counter()
            if page.code != 200 or taken.code != 200:
                self.tally.errors[f"a claim: HTTP {page.code}, then {taken.code}"] += 1
                return
            address = json.loads(taken.body)["url"]
            self.visitors.append(Visitor(self._url, address))
            notebook = await self._client.fetch(
                f"{self._url}{address}", timeout=TIMEOUT, headers=BROWSER
            )
        except UnreachableError as error:
            self.tally.errors[f"a visit: {_without_id(str(error))}"] += 1
            return
        if notebook.code != 200:
            self.tally.errors[f"a notebook page: HTTP {notebook.code}"] += 1
        self.tally.claims.append(given - asked)
        self.tally.visits.append(time.perf_counter() - begun)

    async def _open(self, visitor: Visitor) -> None:
        try:
            await visitor.open_websocket()
        except (HTTPClientError, OSError, StreamClosedError) as error:
            self.tally.errors[f"a websocket did not open: {error}"] += 1

    async def _converse(
        self, websocket: WebSocketClientConnection, name: str, every: float
    ) -> None:
        pause = every * random.random()  # noqa: S311 - spreads load, no secret
        number = 0
        while not await _set_within(self._quiet, pause):
            message, begun, pause = f"{name}/{number}", time.perf_counter(), every
            number += 1
            try:
                async with asyncio.timeout(TIMEOUT):
                    await websocket.write_message(message)
                    self.tally.sent += 1
                    answer = await websocket.read_message()
            except (WebSocketClosedError, TimeoutError) as error:
                self.tally.errors[f"a message was lost: {type(error).__name__}"] += 1
                return
            if answer != message:
                self.tally.errors["a message did not come back as sent"] += 1
                return
            self.tally.echoes.append(time.perf_counter() - begun)


async def _each(jobs: Iterable[Callable[[], Awaitable[None]]], at_once: int) -> None:
    slots = asyncio.Semaphore(at_once)

    async def run(job: Callable[[], Awaitable[None]]) -> None:
        async with slots:
            await job()

    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(run(job))


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _without_id(text: str) -> str:
    """Return an error without what differs between visitors, so that like ones are counted."""
    return "/".join(part for part in text.split("/") if len(part) != 12)
