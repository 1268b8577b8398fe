"""What a scale run found, as values, as JSON and as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.common.gauges import Usage, machine
from benchmarks.common.remains import Remains
from benchmarks.scale.crowd import Tally

MB = 1e6  # bytes


@dataclass(slots=True)
class Results:
    """What a run found. Times in seconds."""

    options: Mapping[str, Any]
    machine: str = field(default_factory=machine)
    seconds: dict[str, float] = field(default_factory=dict)  # by phase
    cpu: dict[str, dict[str, float]] = field(default_factory=dict)  # by phase, then by whom
    load: dict[str, Usage] = field(default_factory=dict)  # with every websocket in use
    tally: Tally = field(default_factory=Tally)
    complaints: dict[str, int] = field(default_factory=dict)  # of tmpnb in its log
    remains: Remains = field(default_factory=Remains)

    @property
    def errors(self) -> int:
        """How many things went wrong."""
        return self.tally.errors.total()

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values."""
        return {
            "options": dict(self.options),
            "machine": self.machine,
            "errors": self.errors,
            "orphans": self.remains.total,
            "what_went_wrong": dict(self.tally.errors),
            "left_behind": asdict(self.remains),
            "claims": len(self.tally.claims),
            "messages": self.tally.sent,
            "seconds": self.seconds,
            "waits": {name: percentiles(values) for name, values in self._waits()},
            "cpu_seconds": self.cpu,
            "load": {name: asdict(usage) for name, usage in self.load.items()},
            "complaints": self.complaints,
        }

    def table(self) -> str:
        """Return it for people."""
        how = "published ports" if self.options["publish"] else "their own addresses"
        title = f"{self.options['servers']:,d} servers at {how}, on {self.machine}"
        return "\n".join(["", title, "", *self._pace(), "", *self._load(), "", *self._end()])

    def _waits(self) -> Iterator[tuple[str, list[float]]]:
        yield "claim", self.tally.claims
        yield "visit", self.tally.visits
        yield "echo", self.tally.echoes

    def _pace(self) -> Iterator[str]:
        servers = int(self.options["servers"])
        counts = {
            "fill": (servers, "servers"),
            "claim": (len(self.tally.claims), "claims"),
            "connect": (servers * int(self.options["websockets"]), "websockets"),
            "hold": (self.tally.sent, "messages"),
            "cull": (len(self.tally.claims), "servers"),
        }
        yield "phase           s     count                  a second   CPU s: tmpnb   proxy  engine"
        for phase, seconds in self.seconds.items():
            count, what = counts.get(phase, (0, ""))
            pace = f"{count:8,d} {what:14s} {count / seconds:12,.1f}" if count else " " * 36
            cpu = self.cpu.get(phase, {})
            spent = "".join(f"{cpu.get(name, 0.0):8.1f}" for name in ("tmpnb", "proxy", "engine"))
            yield f"  {phase:8s}{seconds:7.1f}  {pace}          {spent}"
        yield ""
        yield "a visitor waits, ms        p50       p99   longest"
        for name, values in self._waits():
            found = percentiles(values)
            shown = "".join(f"{1000 * found.get(p, math.nan):10,.1f}" for p in PERCENTILES)
            yield f"  {WAITS[name]:18s}{shown}"

    def _load(self) -> Iterator[str]:
        yield "at full load       processes   memory, MB    each, MB   open files   threads"
        for name, usage in self.load.items():
            files = "-" if usage.descriptors is None else f"{usage.descriptors:,d}"
            each = usage.memory / MB / max(1, usage.processes)
            yield (
                f"  {name:16s}{usage.processes:10,d} {usage.memory / MB:12,.1f} {each:11,.2f}"
                f" {files:>12s} {usage.threads:9,d}"
            )

    def _end(self) -> Iterator[str]:
        yield f"errors: {self.errors}"
        yield from (f"  {count:6d} {what}" for what, count in self.tally.errors.most_common())
        left = {name: count for name, count in asdict(self.remains).items() if count}
        yield f"orphans: {self.remains.total} {left or ''}".rstrip()
        if self.complaints:
            yield "tmpnb logged:"
            yield from (f"  {count:6d} {text[:150]}" for text, count in self.complaints.items())


PERCENTILES = {"p50": 0.50, "p99": 0.99, "longest": 1.0}
WAITS = {
    "claim": "to be given one",
    "visit": "/ to notebook page",
    "echo": "for an echo",
}


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the largest; nothing of nothing."""
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {name: ordered[math.ceil(share * last)] for name, share in PERCENTILES.items()}
