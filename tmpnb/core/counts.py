"""Count what happens, and how long it takes: what the operator's graphs are made of. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

K = TypeVar("K")


class Tally(Generic[K]):
    """How often each of some kinds has occurred. All kinds are there from the start, at 0."""

    def __init__(self, kinds: Iterable[K]) -> None:
        """Begin with nothing counted; `kinds` are all there will ever be."""
        self._counts = dict.fromkeys(kinds, 0)

    def __getitem__(self, kind: K) -> int:
        """Return how often one kind has occurred."""
        return self._counts[kind]

    def __iter__(self) -> Iterator[tuple[K, int]]:
        """Yield each kind with its count."""
        return iter(tuple(self._counts.items()))

    def count(self, kind: K) -> None:
        """Count one more.

        Raises:
            KeyError: It is none of the kinds. This is a bug in the caller.
        """
        self._counts[kind] += 1

    def total(self, kinds: Iterable[K] | None = None) -> int:
        """Return the count of some kinds together, of all without `kinds`."""
        return sum(self._counts.values() if kinds is None else (self[kind] for kind in kinds))


class Durations:
    """A histogram of durations in seconds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Begin empty.

        Args:
            bounds: Upper bounds of the buckets in seconds, rising; a last one without a bound
                is added.
        """
        self.seconds = 0.0  # in all
        self._bounds = (*bounds, math.inf)
        self._buckets = [0] * len(self._bounds)

    def note(self, seconds: float) -> None:
        """Add one; what a clock says that was put back counts as 0."""
        seconds = max(0.0, seconds)
        self.seconds += seconds
        self._buckets[bisect_left(self._bounds, seconds)] += 1

    @property
    def count(self) -> int:
        """How many were added."""
        return sum(self._buckets)

    def buckets(self) -> list[tuple[float, int]]:
        """Return each upper bound, and how many were not longer; the last bound is infinite."""
        return list(zip(self._bounds, accumulate(self._buckets), strict=True))
