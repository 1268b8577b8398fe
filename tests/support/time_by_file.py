"""Print the time of each test file beside the slowest tests, where pytest is asked for those."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest

LEAST = 1.0  # seconds of a file that is worth a line


def by_file(reports: Iterable[object]) -> list[tuple[str, float, int]]:
    """Return for each file its name, its seconds in all, set-up included, and its tests."""
    seconds: dict[str, float] = defaultdict(float)
    tests: Counter[str] = Counter()
    for report in reports:
        if isinstance(report, pytest.TestReport):
            name = report.nodeid.partition("::")[0]
            seconds[name] += report.duration
            tests[name] += report.when == "call"
    slowest_first = sorted(seconds.items(), key=lambda entry: -entry[1])
    return [(name, took, tests[name]) for name, took in slowest_first]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table; the seconds of shards that ran side by side are added up."""
    if not terminalreporter.config.getoption("durations"):
        return
    every = (report for reports in terminalreporter.stats.values() for report in reports)
    terminalreporter.write_sep("=", "time by file")
    for name, took, tests in by_file(every):
        if took >= LEAST:
            terminalreporter.write_line(f"{took:8.1f}s {tests:5d} tests  {name}")
