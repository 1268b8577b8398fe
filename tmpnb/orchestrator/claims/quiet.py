"""Know when visitors are being served, so that work which can wait does so until a pause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET = 0.3  # seconds without anybody that make a pause; in them the last one's page loads
LOOK = 0.05  # seconds between two looks


class Crowd:
    """The visitors who are being given a server just now, or were a moment ago."""

    def __init__(self) -> None:
        self._served = 0
        self._last_at = float("-inf")  # loop time, when somebody was served last

    @contextmanager
    def visitor(self) -> Iterator[None]:
        """Within the block a visitor is given a server."""
        self._served += 1
        try:
            yield
        finally:
            self._served -= 1
            self._last_at = asyncio.get_running_loop().time()

    async def pause(self, longest: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Return when nobody is being served, nor was for `QUIET` seconds.

        Args:
            longest: Seconds to wait at most.
            hurry: Whether something cannot wait any longer.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + longest
        while (now := loop.time()) < end and not hurry():
            if not self._is_busy(now):
                return
            await asyncio.sleep(LOOK)

    def _is_busy(self, now: float) -> bool:
        return self._served > 0 or now - self._last_at < QUIET
