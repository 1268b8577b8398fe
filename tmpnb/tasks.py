"""Background work of the orchestrator: one task group, one place for surprises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
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
        task = supervised(work, what, self._group.create_task)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def cancel_all(self) -> None:
        """Ask every member to end."""
        for task in tuple(self._running):
            task.cancel()


def supervised(
    work: Coroutine[None, None, None],
    what: str,
    create_task: Callable[[Coroutine[None, None, None]], asyncio.Task[None]] = asyncio.create_task,
) -> asyncio.Task[None]:
    """Return a task that does `work`; its failure is logged as `what`.

    A task that is cancelled before its first step never comes to its work, which is closed
    then: Python warns of work that nobody began.
    """
    watched = supervise(work, what)
    try:
        task = create_task(watched)
    except RuntimeError:  # the group has ended
        watched.close()
        work.close()
        raise
    task.add_done_callback(lambda _: work.close())
    return task


async def supervise(work: Coroutine[None, None, None], what: str) -> None:
    """Await `work`; log unexpected errors. See also `border`.

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
