"""(a) From GET `/` of brand-new visitors who come at once to the notebook page's 200."""

from __future__ import annotations

import asyncio

from benchmarks.common.command import say
from benchmarks.common.remains import Engine
from benchmarks.compare.docker_run import new_floor
from benchmarks.compare.figures import FLOOR, HUB, OURS
from benchmarks.compare.jupyterhub import hub_running
from benchmarks.compare.world import NOTEBOOK, World, tmpnb_filled
from tmpnb.commands.load.recognition import recognised
from tmpnb.commands.load.session import Session
from tmpnb.commands.load.tally import OPEN, Tally
from tmpnb.commands.load.target import Target
from tmpnb.errors import VisitError

PART = "a"
PATIENCE = 300.0  # seconds for one visitor


async def measure(world: World) -> None:
    """Let the systems take turns: ours, the hub, the floor, and again."""
    for number in range(world.plan.rounds):
        async with tmpnb_filled(world, NOTEBOOK, world.plan.notebooks) as program:
            await _groups(world, OURS, program.url)
        async with world.engine(NOTEBOOK) as engine, hub_running(engine, NOTEBOOK) as hub:
            await _groups(world, HUB, hub.url)
        if number == 0:  # it hardly differs from one time to the next
            async with world.engine(NOTEBOOK) as engine:
                await _floor(world, engine)


async def _groups(world: World, system: str, url: str) -> None:
    for visitors in world.plan.visitors:
        for _ in range(world.plan.singles if visitors == 1 else 1):
            times = await open_at_once(world, system, url, visitors)
            world.figures.add((PART, _words(visitors), system), "s", times)


async def open_at_once(world: World, system: str, url: str, visitors: int) -> list[float]:
    """Let so many come at once; return the seconds of those who got a page. Nobody leaves."""
    say(f"{system}: {visitors} at once")
    door, tally = await recognised(Target.parse(url)), Tally(visitors)

    async def come() -> None:
        session, begun = Session(PATIENCE), tally.clock()
        try:
            await door.enter(session, tally)
            tally.note(OPEN, tally.clock() - begun)
        except VisitError as error:
            world.figures.fault(f"{system}, {visitors} at once: {error}")
        finally:
            session.close()

    await asyncio.gather(*(come() for _ in range(visitors)))
    return tally.seconds.get(OPEN, [])


async def _floor(world: World, engine: Engine) -> None:
    for visitors in world.plan.visitors:
        say(f"{FLOOR}: {visitors} at once")
        floor = new_floor(engine, NOTEBOOK)
        try:
            started = await asyncio.to_thread(floor.start, visitors, visitors)
        finally:
            floor.give_up()
        times = [one.took for one in started]
        world.figures.add((PART, _words(visitors), FLOOR), "s", times)
        if len(times) < visitors:
            world.figures.fault(f"{FLOOR}: not up in time", visitors - len(times))


def _words(visitors: int) -> str:
    return "1 visitor" if visitors == 1 else f"{visitors} visitors at once"
