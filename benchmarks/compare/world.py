"""What each part of `compare.run` works with: sizes, figures, an engine, and tmpnb in it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.common.command import say
from benchmarks.common.program import Program, running
from benchmarks.common.remains import LABEL, Engine
from benchmarks.compare.figures import Figures
from benchmarks.compare.plan import Plan

NOTEBOOK, TINY = "tmpnb-test/peer", "tmpnb-test/stub"
SLOWEST_START = 4.0  # seconds a server; slower than that it has hung
LOOK = 0.05  # seconds between two looks at the pool


@dataclass(slots=True)
class World:
    """One run."""

    plan: Plan
    figures: Figures = field(default_factory=Figures)
    left_behind: int = 0

    @asynccontextmanager
    async def engine(self, image: str) -> AsyncIterator[Engine]:
        """Give an engine; at the end of the block all that was made in it is removed."""
        engine = Engine.reach(image)
        say(f"what is made in the engine now carries the label {engine.label}")
        try:
            yield engine
        finally:
            engine.remove_all()
            again = Engine.reach(image)
            again.run = engine.run
            self.left_behind += again.remains().total
            again.client.close()

    @asynccontextmanager
    async def tmpnb(self, engine: Engine, image: str, size: int) -> AsyncIterator[Program]:
        """Run tmpnb; it is ended with the block, its servers by the engine's end."""
        flags = [
            "--spawner=docker",
            f"--image={image}",
            f"--pool-name={engine.pool}",
            f"--pool-size={size}",
            "--cull-timeout=3600",
            f"--DockerSpawner.labels={LABEL}={engine.run}",
        ]
        async with running(*flags) as program:
            yield program


@asynccontextmanager
async def tmpnb_filled(world: World, image: str, size: int) -> AsyncIterator[Program]:
    """Run tmpnb with a pool that is full, in an engine of its own label."""
    async with world.engine(image) as engine, world.tmpnb(engine, image, size) as program:
        await filled(program, size)
        yield program


async def filled(program: Program, size: int) -> list[float]:
    """Return when each server of the pool was ready, in Unix time, once all are.

    Raises:
        BenchmarkError: They do not get ready.
    """
    moments: list[float] = []

    def look(stats: dict[str, int]) -> bool:
        now = time.time()
        moments.extend([now] * (stats.get("available", 0) - len(moments)))
        return len(moments) >= size

    say(f"waiting for {size} servers of tmpnb")
    await program.until(look, f"{size} are ready", seconds=60 + size * SLOWEST_START, every=LOOK)
    return moments
