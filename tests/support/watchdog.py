"""A watchdog over an event loop: it tells who held the loop, and frees it from who would for ever.

A thread looks on, so that a loop that is frozen fails the test and does not hang it.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

HELD = 0.2  # seconds of computing without a pause that are too long
STUCK = 10.0  # seconds without a pause, whatever the reason: a busy machine may be late
FROZEN = 5.0  # seconds after which whatever holds the loop is thrown out
LOOK = 0.02  # seconds between looks


class HeldError(Exception):
    """Thrown into what holds a loop for too long."""


class Watchdog:
    """Looks at one loop from another thread.

    Attributes:
        held: What held the loop for too long: seconds, and where it was then.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.held: list[str] = []
        self._loop = loop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._owner = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._owner)
        self._beat = self._now()

    def start(self) -> None:
        """Begin; called in the loop's thread."""
        self._pulse()
        self._thread.start()

    def stop(self) -> None:
        """End, after the last look."""
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Fail if the loop was held by now."""
        assert not self.held, "the loop was held:\n" + "\n".join(self.held)

    def _now(self) -> tuple[float, float]:
        return time.clock_gettime(self._clock), time.monotonic()

    def _pulse(self) -> None:
        self._beat = self._now()
        if not self._over.is_set():
            self._loop.call_later(LOOK / 2, self._pulse)

    def _watch(self) -> None:
        told: tuple[float, float] | None = None
        thrown = 0.0
        while not self._over.wait(LOOK):
            beat = self._beat
            computed, passed = (now - then for now, then in zip(self._now(), beat, strict=True))
            if computed < HELD and passed < STUCK:
                continue
            if told != beat:
                told, thrown = beat, 0.0
                frame = sys._current_frames().get(self._owner)
                where = "".join(traceback.format_stack(frame)[-4:]) if frame else ""
                self.held.append(f"{max(computed, passed):.2f} s and more in:\n{where}")
            if passed - thrown > FROZEN:
                thrown = passed
                throw = ctypes.pythonapi.PyThreadState_SetAsyncExc
                throw(ctypes.c_ulong(self._owner), ctypes.py_object(HeldError))


@contextmanager
def nobody_holds_the_loop() -> Iterator[Watchdog]:
    """Fail if the running loop was held for longer than `HELD` during the block."""
    dog = Watchdog(asyncio.get_running_loop())
    dog.start()
    try:
        yield dog
    finally:
        dog.stop()
    dog.check()
