"""Split work that blocks the event loop, so that others are served in between."""

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
    """Takes turns for heavy work: at most half of the loop's time, however much there is."""

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
