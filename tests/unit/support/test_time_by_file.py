"""Where the time of a run went, by file: tests/support/time_by_file.py."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.support.time_by_file import by_file

When = Literal["setup", "call", "teardown"]


def report(nodeid: str, when: When, seconds: float) -> pytest.TestReport:
    place = ("", None, "")
    return pytest.TestReport(nodeid, place, {}, "passed", None, when, duration=seconds)


def test_files_are_told_with_all_their_seconds_and_tests_the_slowest_first() -> None:
    reports = [
        report("tests/a.py::test_one", "setup", 1.0),
        report("tests/a.py::test_one", "call", 2.0),
        report("tests/b.py::test_one[x::y]", "call", 9.0),
        report("tests/a.py::test_two", "call", 0.5),
        report("tests/a.py::test_two", "teardown", 0.25),
        "a warning",
    ]
    assert by_file(reports) == [("tests/b.py", 9.0, 1), ("tests/a.py", 3.75, 2)]
