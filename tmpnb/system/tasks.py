"""Background work of the orchestrator: one task group, one place for surprises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tmpnb.errors import TmpnbError
from tmpnb.system.border import Caller

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Tasks:
    """A task group whose members cannot take each other down.

    Use as `async with Tasks() as tasks`; leaving waits for all members.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[Any]] = set()

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

    def spawn(self, work: Coroutine[None, None, _T], what: str) -> asyncio.Task[_T | None]:
        """Run `work` in the background; its failure is logged as `what` and ends only it.

        The task returns what `work` does, or None if that failed.
        """
        task = supervised(work, what, self._group.create_task)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def cancel_all(self) -> None:
        """Ask every member to end."""
        for task in tuple(self._running):
            task.cancel()


def supervised(
    work: Coroutine[None, None, _T],
    what: str,
    create_task: Callable[
        [Coroutine[None, None, _T | None]], asyncio.Task[_T | None]
    ] = asyncio.create_task,
) -> asyncio.Task[_T | None]:
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


async def supervise(work: Coroutine[None, None, _T], what: str) -> _T | None:
    """Return what `work` does; log what it could not help, and return None. See also `border`.

    A bug in one start or one pass must not end the service for all visitors.

    Raises:
        BaseException: This task is to end, see `border.Caller`.
    """
    caller = Caller()
    try:
        return await work
    except TmpnbError as error:
        log.debug("%s: %s", what, error)  # its own report stands in `Health`
    except BaseException as error:
        if caller.is_ended_by(error):
            raise
        log.exception("unexpected error in %s", what)
    return None
