"""Background work of the orchestrator: one task group, one place for surprises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Self

from tmpnb.border import Caller
from tmpnb.errors import TmpnbError

log = logging.getLogger(__name__)


class Tasks:
    """A task group whose members cannot take each other down.

    Use as `async with Tasks() as tasks`; leaving waits for all members.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._group.__aexit__(kind, error, traceback)

    def spawn(self, work: Coroutine[None, None, None], what: str) -> asyncio.Task[None]:
        """Run `work` in the background; its failure is logged as `what` and ends only it."""
        task = self._group.create_task(supervise(work, what))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def cancel_all(self) -> None:
        """Ask every member to end."""
        for task in tuple(self._running):
            task.cancel()


async def supervise(work: Coroutine[None, None, None], what: str) -> None:
    """Await `work`; log what it could not help. See also `border`.

    A bug in one start or one pass must not end the service for all visitors.

    Raises:
        BaseException: This task is to end, see `border.Caller`.
    """
    caller = Caller()
    try:
        await work
    except TmpnbError as error:
        log.debug("%s: %s", what, error)  # its own report stands in `Health`
    except BaseException as error:
        if caller.is_ended_by(error):
            raise
        log.exception("unexpected error in %s", what)
