"""Call a driver that may never return: each call has a task of its own, and can be left behind.

A deadline and a signal end what they cancel only if that lets itself be cancelled. A driver's
call may hang in a shield, or wait for a thread that hangs. Whoever called goes on all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tmpnb.errors import TmpnbError
from tmpnb.system.border import Border

GRACE = 5.0  # seconds that a cancelled call has to end
MOST_LEFT = 50  # calls that do not end, after which no more are made

A = TypeVar("A")
T = TypeVar("T")


class Calls:
    """The calls of one driver."""

    def __init__(self, kind: type[TmpnbError]) -> None:
        """Begin without any.

        Args:
            kind: What every failure is turned into, see `Border`.
        """
        self.border = Border(kind)
        self._kind = kind
        self._left: set[asyncio.Task[object]] = set()

    async def make(
        self,
        what: str,
        call: Callable[[], Awaitable[A]],
        check: Callable[[A], T],
        *,
        secret: str = "",
        seconds: float | None = None,
    ) -> T:
        """Return what `check` makes of the answer of `call`.

        Args:
            what: Words for the message, like "stopping server x".
            call: Asks the driver.
            check: Raises anything if the answer makes no sense.
            secret: Taken out of messages; empty: there is none.
            seconds: How long to wait; None: as long as the caller does.

        Raises:
            TmpnbError: As the driver raises it, or of the kind given: there was a surprise, no
                answer in time, or too many calls before it have not ended.
        """
        if len(self._left) >= MOST_LEFT:
            raise self._kind(f"{what}: {len(self._left)} calls before it do not end; restart tmpnb")
        task = asyncio.create_task(self._cross(what, call, check, secret))
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wait({task})
        except TimeoutError:
            await self._end(task)
            raise self._kind(f"{what}: no answer within {seconds:g} s") from None
        except asyncio.CancelledError:
            await self._end(task)
            raise
        return task.result()

    async def _cross(
        self,
        what: str,
        call: Callable[[], Awaitable[A]],
        check: Callable[[A], T],
        secret: str,
    ) -> T:
        with self.border.crossing(what, secret):
            return check(await call())

    async def _end(self, task: asyncio.Task[T]) -> None:
        """Cancel a call, and leave it behind if it does not end in a moment."""
        task.cancel()
        self._left.add(task)
        task.add_done_callback(self._forget)
        await asyncio.wait({task}, timeout=GRACE)

    def _forget(self, task: asyncio.Task[T]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # nobody waits for it any more
