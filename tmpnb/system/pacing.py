"""Do work that holds the loop with pauses between, so that the loop serves others as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

SHORT = 0.005  # seconds of work that nobody notices
SHARED_REST = 1.0  # times as long as it took, in which nobody does such work
OWN_REST = 8.0  # times as long as it took, before whoever asked for it goes on

T = TypeVar("T")


class Pace:
    """Whose work takes turns: half of the loop's time at most, however many ask for it."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def do(self, work: Callable[[], T]) -> T:
        """Return what `work` does, once it is its turn, and after a rest in proportion."""
        took = 0.0
        try:
            async with self._turn:
                begun = perf_counter()
                try:
                    return work()
                finally:
                    took = perf_counter() - begun
                    await _rest(SHARED_REST, took)
        finally:
            await _rest(OWN_REST, took)


async def _rest(times: float, took: float) -> None:
    if took > SHORT:
        await asyncio.sleep(times * took)
