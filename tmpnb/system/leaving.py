"""Run the program and end it, also when a driver left something behind that does not end."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tmpnb.errors import TmpnbError

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds for tasks and threads that are left when the work is done

T = TypeVar("T")


def run(work: Coroutine[None, None, T]) -> T:
    """Return what `work` does, as `asyncio.run`, whose end waits for every thread and task.

    Raises:
        BaseException: As `work` does.
    """
    runner, error = asyncio.Runner(), None
    try:
        return runner.run(work)
    except BaseException as raised:
        error = raised
        raise
    finally:
        closing = leave_in_time(error)  # Python offers no other way past a thread that hangs
        runner.close()
        closing.cancel()


@contextmanager
def left_in_time(*, is_program: bool) -> Iterator[None]:
    """Within the block the program runs; what it leaves behind does not keep it from ending.

    Args:
        is_program: Whether this process ends after the block; if not, nothing is done.
    """
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        if is_program:
            leave_in_time(error)


def leave_in_time(error: BaseException | None) -> threading.Timer:
    """Return a timer that ends this process in `PATIENCE` seconds, unless cancelled.

    Args:
        error: What the program ends with, which is its exit status; None: all is well.
    """
    timer = threading.Timer(PATIENCE, _leave, (error,))
    timer.daemon = True
    timer.start()
    return timer


def _leave(error: BaseException | None) -> None:
    log.warning("what a driver left behind does not end; leaving all the same")
    if isinstance(error, TmpnbError):
        sys.stderr.write(f"tmpnb: {error}\n")
    logging.shutdown()
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(_status(error))


def _status(error: BaseException | None) -> int:
    if error is None or isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return 0  # a signal ended it before it was up
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        return error.code or 0
    return 1
