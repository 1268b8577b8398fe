"""How long starts take, and how far those under way are. Synchronous."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from tmpnb.core.estimate import Coming

REMEMBERED = 20  # starts from which the usual time is taken
ASSUMED = 10.0  # seconds that a start takes, until the first has ended


class StartTimes:
    """Watches the starts of servers that anybody may get."""

    def __init__(self, clock: Callable[[], float], slots: int) -> None:
        """Begin with none.

        Args:
            clock: Unix time in seconds.
            slots: How many starts there are at once.
        """
        self._clock, self._slots = clock, slots
        self._queued = 0
        self._begun: dict[str, float] = {}  # when, by the id of the server
        self._took: deque[float] = deque(maxlen=REMEMBERED)  # seconds, of those that went well

    @contextmanager
    def queueing(self) -> Iterator[Callable[[str], None]]:
        """Count a start; the block calls what it is given with the id once it really begins."""
        self._queued += 1
        begun: list[str] = []

        def begin(server_id: str) -> None:
            self._queued -= 1
            self._begun[server_id] = self._clock()
            begun.append(server_id)

        try:
            yield begin
        except BaseException:
            self._end(begun)
            raise
        for took in self._end(begun):
            self._took.append(took)

    def coming(self) -> Coming:
        """Return the starts under way."""
        now = self._clock()
        ages = tuple(now - begun for begun in self._begun.values())
        usual = median(self._took) if self._took else ASSUMED
        return Coming(ages, self._queued, usual, self._slots)

    def _end(self, begun: list[str]) -> list[float]:
        if not begun:
            self._queued -= 1
        return [self._clock() - self._begun.pop(server_id) for server_id in begun]
