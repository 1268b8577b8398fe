"""Tell the first of a kind from its repeats, and count these. Pure, but for the clock."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

SPAN = 60.0  # seconds that repeats are counted for before the count is told
MOST = 1000  # kinds that are told apart at a time

T = TypeVar("T")


@dataclass(slots=True)
class _Window(Generic[T]):
    first: T
    ends: float
    more: int = 0


class Repeats(Generic[T]):
    """The kinds that have come of late: each with its first, and how many more there were."""

    def __init__(self, clock: Callable[[], float], span: float = SPAN, most: int = MOST) -> None:
        """Begin with nothing.

        Args:
            clock: Time in seconds that never goes back.
            span: Seconds that repeats are counted for.
            most: Kinds that are told apart at a time.
        """
        self._clock, self.span, self._most = clock, span, most
        self._windows: dict[Hashable, _Window[T]] = {}  # in the order in which they end

    def __len__(self) -> int:
        return len(self._windows)

    def is_first(self, kind: Hashable, wider: Hashable, one: T) -> bool:
        """Count one more; return whether it is the first of its kind, to be told at once.

        Args:
            kind: What it repeats if it is equal. Of those that are told already, `take_due` must
                have been asked first.
            wider: What it counts as while too many kinds are known. There are few of these.
            one: What is remembered of the first.
        """
        name = kind
        if name not in self._windows and len(self._windows) >= self._most:
            name = wider
        window = self._windows.get(name)
        if window is None:
            self._windows[name] = _Window(one, self._clock() + self.span)
            return True
        window.more += 1
        return False

    def take_due(self, *, all_of_them: bool = False) -> list[tuple[T, int]]:
        """Return the first of each kind whose time is over, with the number of its repeats.

        What was repeated is counted anew from now on, and is not first when it comes again;
        what was not is forgotten.

        Args:
            all_of_them: Whether also of those whose time is not over.
        """
        now, found = self._clock(), []
        for kind, window in list(self._windows.items()):
            if window.ends > now and not all_of_them:
                break
            del self._windows[kind]
            if window.more:
                found.append((window.first, window.more))
                self._windows[kind] = _Window(window.first, now + self.span)
        return found

    def seconds_until_due(self) -> float | None:
        """Return how long until `take_due` has something to do; None: nothing is known."""
        for window in self._windows.values():
            return max(0.0, window.ends - self._clock())
        return None
