"""What the programs here have in common: lines of progress, and an end in order."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine


class BenchmarkError(Exception):
    """The run cannot go on; the message says why."""


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def perform(name: str, work: Callable[[], Coroutine[None, None, int]]) -> int:
    """Run `work`; return its exit code. Ctrl-C and SIGTERM cancel it, and it cleans up."""
    try:
        return asyncio.run(_cancelled_by_sigterm(work))
    except BenchmarkError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"{name}: ended early; all was removed", file=sys.stderr)
        return 130


async def _cancelled_by_sigterm(work: Callable[[], Coroutine[None, None, int]]) -> int:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work()
