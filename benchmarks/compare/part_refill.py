"""(d) Ready servers a second while a pool fills, beside raw parallel `docker run`."""

from __future__ import annotations

import asyncio

from benchmarks.common.command import say
from benchmarks.compare import servers_memory
from benchmarks.compare.docker_run import new_floor
from benchmarks.compare.figures import FLOOR, OURS, rate
from benchmarks.compare.plan import STARTS_AT_ONCE
from benchmarks.compare.world import NOTEBOOK, TINY, World, filled


async def measure(world: World) -> None:
    """Let both take turns, with notebook servers and with tiny ones."""
    for _ in range(world.plan.rounds):
        for what, image, count in (
            ("notebook servers", NOTEBOOK, world.plan.refill),
            ("tiny servers", TINY, world.plan.tiny_refill),
        ):
            key = ("d", f"{what} a second")
            async with world.engine(image) as engine, world.tmpnb(engine, image, count) as program:
                moments = await filled(program, count)
                pace = rate(engine.first_created(), moments)
                world.figures.add((*key, OURS), "/s", [pace], more_is_better=True)
                if image == NOTEBOOK:
                    await servers_memory.measure(world, engine, program, count)
            async with world.engine(image) as engine:
                say(f"{FLOOR}: {count} {what}, {STARTS_AT_ONCE} at once")
                floor = new_floor(engine, image)
                try:
                    started = await asyncio.to_thread(floor.start, count, STARTS_AT_ONCE)
                finally:
                    floor.give_up()
                pace = rate(engine.first_created(), [one.ready for one in started])
                world.figures.add((*key, FLOOR), "/s", [pace], more_is_better=True)
