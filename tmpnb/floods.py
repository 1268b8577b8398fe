"""One page that asks again and again is told of by a line now and then, not by one each time."""

from __future__ import annotations

from collections.abc import Callable

SPAN = 60.0  # seconds until the first line that tells how many there were
LONGEST = 3600.0  # seconds between two lines, at most
REMEMBERED = 1000  # floods at a time; of others each request is told


class Floods:
    """Counts requests by a name that they have in common. Synchronous."""

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], object],
        say: Callable[[str, int, float], None],
    ) -> None:
        """Begin with nothing.

        Args:
            later: Calls something after so many seconds.
            say: Tells of a flood: its name, the requests that nothing was said of, and within how
                many seconds they came.
        """
        self._later, self._say = later, say
        self._untold: dict[str, int] = {}

    def is_told(self, name: str) -> bool:
        """Whether a request of this name is one of many, and is told of together with them."""
        if name in self._untold:
            self._untold[name] += 1
            return True
        if len(self._untold) < REMEMBERED:
            self._wait(name, SPAN)
        return False

    def _wait(self, name: str, span: float) -> None:
        self._untold[name] = 0
        self._later(span, lambda: self._tell(name, span))

    def _tell(self, name: str, span: float) -> None:
        """Tell of those since the last line; go on for as long as there are any."""
        untold = self._untold.pop(name)
        if untold:
            self._say(name, untold, span)
            self._wait(name, min(2 * span, LONGEST))
