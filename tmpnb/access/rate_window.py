"""How often something happened of late, by name, in bounded memory. Synchronous."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

REMEMBERED = 10_000  # names; the one that was quiet longest is forgotten first


class Windows:
    """Counts what happened to each name within the last `span` seconds."""

    def __init__(self, clock: Callable[[], float], span: float, most: int) -> None:
        """Begin with nothing.

        Args:
            clock: Time in seconds.
            span: Seconds after which something counts no more.
            most: More than so many need not be told apart.
        """
        self._clock, self._span, self._most = clock, span, max(1, most)
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, name: str) -> None:
        """Note that it happened now."""
        moments = self._moments.setdefault(name, deque(maxlen=self._most))
        moments.append(self._clock())
        self._moments.move_to_end(name)
        while len(self._moments) > REMEMBERED:
            self._moments.popitem(last=False)

    def take_back(self, name: str) -> None:
        """Forget the latest time, if it counts still."""
        if self.count(name):
            self._moments[name].pop()

    def count(self, name: str) -> int:
        """Return how often it happened of late."""
        moments = self._moments.get(name)
        if moments is None:
            return 0
        limit = self._clock() - self._span
        while moments and moments[0] <= limit:
            moments.popleft()
        if not moments:
            del self._moments[name]
        return len(moments)

    def seconds_until_fewer(self, name: str) -> float:
        """Return when the oldest will count no more; 0 if there is none."""
        if not self.count(name):
            return 0.0
        return max(0.0, self._moments[name][0] + self._span - self._clock())
