"""What one run of `compare.run` measured: rows of values, and what can be said of them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tmpnb.commands.load.tally import percentile

OURS = "tmpnb"
HUB = "JupyterHub"
FLOOR = "docker run"
DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Row:
    """Some values of one thing, of one system."""

    part: str  # the letter in the report
    what: str
    system: str
    unit: str
    values: tuple[float, ...]
    more_is_better: bool = False

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        """The value that 95 of 100 do not exceed."""
        return percentile(sorted(self.values), 0.95)

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values."""
        rounded = [float(f"{value:.5g}") for value in self.values]
        return asdict(self) | {"values": rounded, "median": self.median, "p95": self.p95}


@dataclass(slots=True)
class Figures:
    """All rows of a run, in the order they were first measured, and what could not be measured."""

    rows: list[Row] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)  # how often, by what went wrong
    missing: list[str] = field(default_factory=list)  # parts, with the reason

    def add(
        self,
        key: tuple[str, str, str],
        unit: str,
        values: Iterable[float],
        *,
        more_is_better: bool = False,
    ) -> None:
        """Add values to the row of part, what and system; no values are no row."""
        new = tuple(values)
        if not new:
            return
        for number, row in enumerate(self.rows):
            if (row.part, row.what, row.system) == key:
                self.rows[number] = Row(*key, unit, (*row.values, *new), more_is_better)
                return
        self.rows.append(Row(*key, unit, new, more_is_better))

    def fault(self, what: str, count: int = 1) -> None:
        """Count something that went wrong while measuring."""
        self.errors[what] = self.errors.get(what, 0) + count

    def parts(self) -> list[str]:
        """Return the letters of the parts that were measured."""
        return sorted({row.part for row in self.rows})

    def of(self, part: str) -> Iterator[tuple[str, list[Row]]]:
        """Yield each thing of a part with its rows, one for each system."""
        names = list(dict.fromkeys(row.what for row in self.rows if row.part == part))
        for what in names:
            yield what, [row for row in self.rows if (row.part, row.what) == (part, what)]

    def find(self, part: str, what: str, system: str) -> Row | None:
        """Return one row."""
        wanted = (part, what, system)
        return next((r for r in self.rows if (r.part, r.what, r.system) == wanted), None)


def ratio(ours: Row, other: Row) -> float | None:
    """Return how many times better ours is; below 1 the other is better."""
    better, worse = (other, ours) if ours.more_is_better else (ours, other)
    return worse.median / better.median if better.median else None


def rate(begun: float, moments: Sequence[float]) -> float:
    """Return how many a second came, from the begin of the first to the last; 0 of none.

    Args:
        begun: In seconds, as the moments.
        moments: When each came.
    """
    return len(moments) / (max(moments) - begun) if moments else 0.0
