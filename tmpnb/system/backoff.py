"""How long to wait after failures in a row: doubling, capped, with jitter."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST = 1.0  # seconds
LONGEST = 60.0  # seconds


class Backoff:
    """Counts failures and says when the next try is due.

    Between the first failure and the next success only one try at a time is
    allowed, so that a broken image costs one start each pause, not a pool of them.
    """

    def __init__(self, random_factor: Callable[[], float] = lambda: random.uniform(0.8, 1.2)):  # noqa: S311 - spreads load, no secret
        self._factor = random_factor
        self.failures = 0
        self.due = 0.0  # the caller's clock, in seconds

    def failed(self, now: float) -> None:
        """Note a failure at `now`, in seconds of the caller's clock.

        Tries that were under way together and fail together count as one.
        """
        if self.failures and now < self.due:
            return
        self.failures += 1
        pause = FIRST * 2.0 ** min(self.failures - 1, 16) * self._factor()
        self.due = now + min(LONGEST, pause)

    def succeeded(self) -> None:
        """Forget all failures."""
        self.failures = 0
        self.due = 0.0

    def allowed(self, wanted: int, under_way: int, now: float) -> int:
        """Return how many of `wanted` tries may begin at `now`, `under_way` being under way."""
        if not self.failures:
            return wanted
        return min(wanted, 1) if now >= self.due and not under_way else 0
