"""(c) A crowd on a full pool, (e) memory, (h) what grows with the pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from benchmarks.common.command import BenchmarkError, say
from benchmarks.common.gauges import Usage, cpu_exactly, descendants
from benchmarks.common.program import Program
from benchmarks.common.visitors import SCRIPT
from benchmarks.common.wire import Wire
from benchmarks.compare.figures import HUB, OURS
from benchmarks.compare.jupyterhub import hub_running
from benchmarks.compare.part_proxy import requests_a_second, round_trips
from benchmarks.compare.world import TINY, World, filled
from tmpnb.commands.load.doors import Door, Place
from tmpnb.commands.load.recognition import recognised
from tmpnb.commands.load.session import Session
from tmpnb.commands.load.tally import Tally, percentile
from tmpnb.commands.load.target import Target
from tmpnb.errors import VisitError

PATIENCE = 60.0  # seconds for one visitor
QUIET = 3.0  # seconds in which the passes after a change come to an end
MB = 1e6  # bytes


async def measure(world: World) -> None:
    """Measure at each size, the crowd on the largest pool; then the hub's memory."""
    for size in world.plan.pools:
        async with world.engine(TINY) as engine, world.tmpnb(engine, TINY, size) as program:
            begun = time.monotonic()
            await filled(program, size)
            pace = [size / (time.monotonic() - begun)]
            await asyncio.sleep(QUIET)
            what = f"servers started a second, up to {size}"
            world.figures.add(("h", what, OURS), "/s", pace, more_is_better=True)
            _memory(world, f"{size} servers", program.pid, descendants([program.pid]), OURS)
            await _cost(world, program, size)
            if size == world.plan.pools[-1]:
                await _crowd(world, program)
                what = f"{size} servers, most of them claimed"
                _memory(world, what, program.pid, descendants([program.pid]), OURS)
    await _hub_memory(world)


async def _cost(world: World, program: Program, size: int) -> None:
    """Let visitors come one after the other; those of small pools leave, and their places fill."""
    door, tally, cpu = await recognised(Target.parse(program.url)), Tally(1), 0.0
    left, whole, places = world.plan.claims, [], []
    while left > 0:
        group = min(left, size)
        left -= group
        before = cpu_exactly([program.pid])
        begun = time.monotonic()
        places = [await _enter(door, tally, world) for _ in range(group)]
        whole.append(1000 * (time.monotonic() - begun) / group)
        cpu += cpu_exactly([program.pid]) - before
        if left > 0:
            await _give_back(door, places)
            await filled(program, size)
            await asyncio.sleep(QUIET)
    what = f"from GET `/` to the page with {size} servers"
    world.figures.add(("h", what, OURS), "ms", whole)
    what = f"a claim with {size} servers"
    times = [1000 * seconds for seconds in tally.seconds.get("server", [])]
    world.figures.add(("h", f"{what}, the visitor waits", OURS), "ms", times)
    each = 1000 * cpu / world.plan.claims
    world.figures.add(("h", f"{what}, CPU of the orchestrator", OURS), "ms", [each])
    for place in filter(None, places[:1]):
        await _proxied(world, place, size)


async def _proxied(world: World, place: Place, size: int) -> None:
    """Ask one of the servers through the proxy, again and again."""
    await asyncio.sleep(QUIET)
    pace, what = await requests_a_second(place, world.plan.seconds), f"with {size} servers"
    world.figures.add(("h", f"requests a second {what}", OURS), "/s", [pace], more_is_better=True)
    echoes = await round_trips(place, world.plan.echoes)
    world.figures.add(("h", f"websocket round trip {what}", OURS), "ms", echoes)


async def _crowd(world: World, program: Program) -> None:
    """Let as many claims come within one second, as the pages' script makes them."""
    count = world.plan.arrivals
    say(f"{count} claims within one second")
    begun, times, ends = time.monotonic(), [], []

    async def come(number: int) -> None:
        await asyncio.sleep(begun + number / count - time.monotonic())
        asked = time.monotonic()
        try:
            status = await _claim(program.url)
        except (BenchmarkError, OSError) as error:
            world.figures.fault(f"{OURS}, a claim of the crowd: {error}")
            return
        if status != 200:
            world.figures.fault(f"{OURS}, a claim of the crowd: HTTP {status}")
            return
        ends.append(time.monotonic())
        times.append(ends[-1] - asked)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(come(number))
    world.figures.add(("c", "a claim", OURS), "s", times)
    world.figures.add(("c", "a claim, 99th percentile", OURS), "s", _p99(times))
    pace = len(ends) / (max(ends) - begun) if ends else 0.0
    world.figures.add(("c", "claims a second", OURS), "/s", [pace], more_is_better=True)
    world.figures.add(("c", f"errors of {count}", OURS), "", [count - len(ends)])


async def _claim(url: str) -> int:
    wire = await Wire.open(url)
    try:
        status, _ = await wire.ask("POST", "/spawn", SCRIPT)
    finally:
        wire.close()
    return status


def _p99(times: Sequence[float]) -> list[float]:
    return [percentile(sorted(times), 0.99)] if times else []


async def _enter(door: Door, tally: Tally, world: World) -> Place | None:
    session = Session(PATIENCE)
    try:
        return await door.enter(session, tally)
    except VisitError as error:
        world.figures.fault(f"{OURS}, tiny servers: {error}")
        return None
    finally:
        session.close()


async def _give_back(door: Door, places: Iterable[Place | None]) -> None:
    for place in filter(None, places):
        session = Session(PATIENCE)
        try:
            await door.leave(session, place)
        finally:
            session.close()


async def _hub_memory(world: World) -> None:
    count = world.plan.hub_servers
    async with world.engine(TINY) as engine, hub_running(engine, TINY) as hub:
        _memory(world, "0 servers", hub.pid, hub.proxy_pids(), HUB)
        say(f"{HUB}: {count} tiny servers")
        up = await hub.start_servers(count)
        if up < count:
            world.figures.fault(f"{HUB}: tiny servers that did not start", count - up)
        _memory(world, f"{count} servers", hub.pid, hub.proxy_pids(), HUB)


def _memory(world: World, what: str, service: int, proxy: list[int], system: str) -> None:
    used = {"the service": Usage.of([service]), "its proxy": Usage.of(proxy)}
    for name, usage in used.items():
        world.figures.add(("e", f"{name}, {what}", system), "MB", [usage.memory / MB])
