"""The one signal that something has changed, for those in line and for the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """Lets all look again who wait for something: visitors in line, and the next pass."""

    def __init__(self) -> None:
        self._for_the_loop = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def heard_by(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever something changes. It must not block or fail."""
        self._listeners.append(listener)

    def tell(self, *, pass_now: bool = True) -> None:
        """Have everybody look again.

        Args:
            pass_now: Whether the next pass begins now instead of at the end of the interval.
        """
        for listener in self._listeners:
            listener()
        if pass_now:
            self.begin_pass()

    def begin_pass(self) -> None:
        """Begin the next pass now, for what only a pass can find out.

        Strangers can bring this about, so it costs nothing for those in line.
        """
        self._for_the_loop.set()

    async def wait(self) -> None:
        """Return once the next pass is to begin."""
        await self._for_the_loop.wait()

    def taken_in(self) -> None:
        """Forget what the pass that begins now will see."""
        self._for_the_loop.clear()
