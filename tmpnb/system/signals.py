"""SIGTERM and SIGINT: the first ends the service in good order, the second at once."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Ending:
    """What the first signal does; it changes as the service comes up."""

    action: Callable[[], object]


@contextmanager
def handled(ending: Ending) -> Iterator[None]:
    """Within the block, do `ending.action` at the first signal and leave at the second.

    Must be entered in a running event loop.
    """
    loop = asyncio.get_running_loop()
    received = False

    def handle(number: int) -> None:
        nonlocal received
        name = signal.Signals(number).name
        if received:
            log.warning("%s again: leaving at once; the next start cleans up", name)
            os._exit(128 + number)
        received = True
        log.info("%s: ending in good order; once more leaves at once", name)
        ending.action()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
