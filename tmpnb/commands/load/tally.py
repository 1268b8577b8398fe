"""What visitors met so far: how long each step took, and what went wrong. Synchronous."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tmpnb.errors import VisitError

OPEN = "open"  # from the first request to the notebook page
FIRST_CELL = "first cell"  # from the first request to the end of the first cell
STEPS = (
    "first page",
    "server",
    "notebook page",
    OPEN,
    "kernel",
    "cell",
    FIRST_CELL,
    "save",
    "leave",
    "whole visit",
)
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(slots=True)
class Tally:
    """The numbers of one run. Times in seconds.

    Attributes:
        seconds: By step, one for each time it went well.
        errors: By step and what went wrong.
        doing: How many visitors are at a step now.
    """

    visitors: int
    clock: Callable[[], float] = time.perf_counter
    arrived: int = 0
    served: int = 0  # to the end, without a fault
    failed: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    doing: Counter[str] = field(default_factory=Counter)

    @property
    def here(self) -> int:
        """How many have come and not gone."""
        return self.arrived - self.served - self.failed

    def note(self, step: str, seconds: float) -> None:
        """Keep how long a step took."""
        self.seconds.setdefault(step, []).append(seconds)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Time a step; one that fails is counted as an error and as nothing else.

        Raises:
            VisitError: As inside, with the step before its words.
        """
        begun = self.clock()
        self.doing[step] += 1
        try:
            yield
        except VisitError as error:
            raise VisitError(f"{step}: {error}") from error
        except TimeoutError as error:
            raise VisitError(f"{step}: not within the visitor's patience") from error
        finally:
            self.doing[step] -= 1
        self.note(step, self.clock() - begun)

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values."""
        return {
            "visitors": self.visitors,
            "arrived": self.arrived,
            "served": self.served,
            "failed": self.failed,
            "steps": {step: summary(self.seconds[step]) for step in self._known()},
            "errors": dict(self.errors.most_common()),
        }

    def table(self) -> Iterator[str]:
        """Yield the lines of a table for people."""
        yield f"{'':15s}{'count':>7s}{'p50':>9s}{'p95':>9s}{'p99':>9s}{'longest':>9s}  seconds"
        for step in self._known():
            numbers = summary(self.seconds[step])
            shown = "".join(f"{numbers[name]:9.3f}" for name in (*SHARES, "longest"))
            yield f"{step:15s}{numbers['count']:7d}{shown}"
        yield from (f"{count:7d} x {what}" for what, count in self.errors.most_common())

    def _known(self) -> Iterator[str]:
        yield from (step for step in STEPS if self.seconds.get(step))


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return count, percentiles and the longest of times, which are at least one."""
    ordered = sorted(values)
    found: dict[str, Any] = {"count": len(ordered)}
    found |= {name: percentile(ordered, share) for name, share in SHARES.items()}
    return found | {"longest": ordered[-1]}


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least such a share of the values does not exceed.

    Args:
        ordered: At least one, the smallest first.
        share: Above 0, at most 1.
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
