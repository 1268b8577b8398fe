"""Somebody at the other end of a connection, who may hang up before there is an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.support.raw_http import Request, parsed
from tests.support.running_site import Running
from tests.support.world import wait_until
from tmpnb.system.http.presence import Presence
from tmpnb.visitors.arrivals import Arrivals

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Left:
    """How many connections the service has seen end during a request; patches `Presence`."""

    count = 0

    def __init__(self, monkeypatch: Any) -> None:
        leave = Presence.leave

        def noted(presence: Presence) -> None:
            self.count += not presence.left
            leave(presence)

        monkeypatch.setattr(Presence, "leave", noted)


class Caller:
    """One request on a connection of its own."""

    def __init__(
        self,
        site: str,
        path: str,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        body: str = "",
    ) -> None:
        port = urlsplit(site).port
        assert port is not None
        pairs = [(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
        self._port = port
        self._request = Request(method.encode(), path.encode(), pairs, body.encode())
        self._writer: asyncio.StreamWriter
        self._reader: asyncio.StreamReader

    async def call(self) -> Caller:
        """Send the request."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(self._request.raw)
        await self._writer.drain()
        return self

    async def first_byte(self) -> bytes:
        """Wait until the answer begins."""
        return await self._reader.read(1)

    def close(self) -> None:
        """Hang up, and do not wait until the service knows."""
        self._writer.close()

    async def hang_up(self, left: Left) -> None:
        """Close the connection, and return once the service knows."""
        before = left.count
        self._writer.close()
        await wait_until(lambda: left.count > before, "it knows they have hung up")

    async def body(self) -> Any:
        """Wait for the answer; return what its body says as JSON."""
        answer = parsed(await self._reader.read())
        assert answer is not None
        self._writer.close()
        return json.loads(answer.body)


@contextmanager
def slow_routes(running: Running) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Let claims stop on their way: give an event of one that does, and one that lets them go."""
    proxy, reached, go = running.world.proxy, asyncio.Event(), asyncio.Event()
    add_route = proxy.add_route

    async def slow(server_id: str, target: str) -> None:
        reached.set()
        await go.wait()
        await add_route(server_id, target)

    proxy.add_route = slow  # type: ignore[method-assign]  # a proxy that takes its time
    try:
        yield reached, go
    finally:
        proxy.add_route = add_route  # type: ignore[method-assign]  # as it was


def slow_kinds(monkeypatch: Any) -> tuple[asyncio.Event, asyncio.Event]:
    """Let arrivals stop while a server is asked what a path is: give events as `slow_routes`."""
    kind, asked, go = Arrivals._kind, asyncio.Event(), asyncio.Event()

    async def slow(arrivals: Arrivals, *words: Any) -> str | None:
        asked.set()
        await go.wait()
        return await kind(arrivals, *words)

    monkeypatch.setattr(Arrivals, "_kind", slow)
    return asked, go
