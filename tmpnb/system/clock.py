"""A clock that a jump of the system's clock does not move, and how the two are related."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

JUMP = 5.0  # seconds between the clocks that count as a jump; slewing stays below
REMEMBERED = 8  # jumps


class Clock(Protocol):
    """Unix time in seconds by two clocks: our own steady one, and the system's."""

    def __call__(self) -> float:
        """Return the steady time."""
        ...

    def from_system(self, moment: float) -> float:
        """Return in steady time what somebody else wrote down by the system's clock."""
        ...

    def to_system(self, moment: float) -> float:
        """Return in the system's time what is to be written down for others."""
        ...


class SteadyClock:
    """Starts with the system's time and goes on by the monotonic clock.

    Ages are judged by it, so that an hour put on the system's clock by hand, by a time
    server or by a machine that slept ends nobody's notebook.
    """

    def __init__(
        self,
        system: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._system, self._monotonic = system, monotonic
        self._origin = system() - monotonic()
        self._ahead = deque([0.0], maxlen=REMEMBERED)  # of the system's clock, latest last

    def __call__(self) -> float:
        """Return the steady time, Unix time in seconds."""
        now = self._monotonic() + self._origin
        ahead = self._system() - now
        jump = ahead - self._ahead[-1]
        if abs(jump) > JUMP:
            log.warning("the system's clock jumped by %+.0f s; no notebook ages by that", jump)
            self._ahead.append(ahead)
        return now

    def from_system(self, moment: float) -> float:
        """Return the latest steady time that `moment` can mean, at most now.

        After a jump back, one reading of the system's clock stands for two moments. Of
        these the later is taken: a server is rather culled late than early.
        """
        now = self()
        meant = [moment - ahead for ahead in self._ahead]
        return min(now, max((m for m in meant if m <= now + JUMP), default=now))

    def to_system(self, moment: float) -> float:
        """Return the reading of the system's clock for a steady time, by today's difference."""
        self()
        return moment + self._ahead[-1]
