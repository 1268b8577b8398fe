"""(g) Requests a second and the round trip of a websocket: through the proxy, and direct."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from benchmarks.common.command import BenchmarkError, say
from benchmarks.common.wire import TIMEOUT, Wire
from benchmarks.compare.figures import DIRECT, OURS
from benchmarks.compare.world import TINY, World, filled
from tmpnb.commands.load.doors import Place
from tmpnb.commands.load.recognition import recognised
from tmpnb.commands.load.session import Session
from tmpnb.commands.load.tally import Tally
from tmpnb.commands.load.target import Target

CONNECTIONS = 8


async def measure(world: World) -> None:
    """Let both ways take turns, with one tiny server."""
    async with world.engine(TINY) as engine, world.tmpnb(engine, TINY, 1) as program:
        await filled(program, 1)
        door, session = await recognised(Target.parse(program.url)), Session(TIMEOUT)
        place = await door.enter(session, Tally(1))
        session.close()
        [container] = engine.containers()
        at = next(port for port in container["Ports"] if port.get("PublicPort"))
        path = urlsplit(place.root).path
        direct = Place(f"http://{at['IP']}:{at['PublicPort']}{path}", place.headers)
        for _ in range(max(2, world.plan.rounds)):
            for name, way in ((OURS, place), (DIRECT, direct)):
                say(f"requests and echoes, {'direct' if way is direct else 'through the proxy'}")
                pace = await requests_a_second(way, world.plan.seconds)
                key = ("g", "requests a second", name)
                world.figures.add(key, "/s", [pace], more_is_better=True)
                echoes = await round_trips(way, world.plan.echoes)
                world.figures.add(("g", "websocket round trip", name), "ms", echoes)


async def requests_a_second(place: Place, seconds: float) -> float:
    """Ask for a small answer again and again on a few connections.

    Raises:
        BenchmarkError: An answer is not what it should be.
    """
    end, begun = time.monotonic() + seconds, time.monotonic()
    counts = await asyncio.gather(*(_ask_until(place, end) for _ in range(CONNECTIONS)))
    return sum(counts) / (time.monotonic() - begun)


async def _ask_until(place: Place, end: float) -> int:
    wire, path, count = await Wire.open(place.root), f"{urlsplit(place.root).path}api", 0
    try:
        while time.monotonic() < end:
            status, _ = await wire.ask("GET", path)
            if status != 200:
                raise BenchmarkError(f"a tiny server answered {status}")
            count += 1
    finally:
        wire.close()
    return count


async def round_trips(place: Place, count: int) -> list[float]:
    """Return the milliseconds of each of so many echoes, one after the other."""
    url = place.root.replace("http", "ws", 1) + "api/kernels/stub/channels"
    socket = await websocket_connect(HTTPRequest(url, headers=dict(place.headers)))
    times = []
    try:
        for number in range(count):
            begun = time.perf_counter()
            async with asyncio.timeout(TIMEOUT):
                await socket.write_message(f"message {number}")
                answer = await socket.read_message()
            if answer != f"message {number}":
                raise BenchmarkError("a message did not come back as sent")
            times.append(1000 * (time.perf_counter() - begun))
    finally:
        socket.close()
    return times
