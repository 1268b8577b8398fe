"""Turn whatever an engine or a proxy raises into a failure that its callers expect."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from tmpnb.errors import TmpnbError
from tmpnb.system.logs.redaction import on_one_line, redact

log = logging.getLogger(__name__)

LONGEST_WORDS = 300  # characters of an exception that are passed on
REMEMBERED = 200  # surprises whose traceback is in the log already


class Caller:
    """Who calls something that may raise anything, and can itself be told to end meanwhile."""

    def __init__(self) -> None:
        self._task = _current_task()

    def is_ended_by(self, error: BaseException) -> bool:
        """Whether `error` tells the caller to end, rather than that the call failed.

        So are Ctrl-C, the cancelling of the caller's task, and the end of a coroutine that
        is thrown away, which happens outside of its task. A driver that calls `sys.exit`,
        or raises one of the others by itself, has failed.
        """
        if isinstance(error, KeyboardInterrupt):
            return True
        if isinstance(error, GeneratorExit):
            return self._task is not _current_task()
        if isinstance(error, asyncio.CancelledError):
            return self._task is None or bool(self._task.cancelling())
        return False


def _said_by(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - it is code of the other side as well
        return ""


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs
        return None


class Border:
    """Where calls leave for code that may raise anything: a driver, its library, a bug.

    Who calls across it knows one kind of error and no other, so that a failure nobody
    thought of is treated as every failure is: told, backed off from, and tried again.
    """

    def __init__(self, kind: type[TmpnbError]) -> None:
        """Begin with nothing told.

        Args:
            kind: What a surprise is turned into; made from a message alone.
        """
        self._kind = kind
        self._told: set[str] = set()

    @contextmanager
    def crossing(
        self, what: str, secret: str = "", expected: tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """Let our own errors pass, and turn any other into one of them.

        Args:
            what: Words for the message, like "stopping server x".
            secret: Taken out of the message; empty: there is none.
            expected: More errors to let pass, which the caller turns into words of its own.

        Raises:
            TmpnbError: Of the border's kind, with the class and the words of a surprise.
            BaseException: The caller itself is to end, see `Caller`. Raised by the other side
                on its own account, that is a surprise like any other.
        """
        caller = Caller()
        passing: tuple[type[Exception], ...] = (TmpnbError, *expected)
        try:
            yield
        except passing:
            raise
        except BaseException as error:
            if caller.is_ended_by(error):
                raise
            raise self._failure(what, error, secret) from error

    def _failure(self, what: str, error: BaseException, secret: str) -> TmpnbError:
        words = redact(" ".join(on_one_line(" ".join(_said_by(error).split())).split()))
        if secret:
            words = words.replace(secret, "[redacted]")
        said = f"unexpected {type(error).__name__}" + (f": {words}" if words else "")
        failure = self._kind(f"{what}: {said[:LONGEST_WORDS]}")
        self._tell_once(failure, error)
        return failure

    def _tell_once(self, failure: TmpnbError, error: BaseException) -> None:
        """Log where a surprise comes from, the first time; a stop is tried every few seconds."""
        frames = traceback.extract_tb(error.__traceback__)
        origin = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        key = f"{type(error).__name__} {origin}"
        if key in self._told:
            return
        if len(self._told) < REMEMBERED:
            self._told.add(key)
        log.error("%s", failure, exc_info=error)
