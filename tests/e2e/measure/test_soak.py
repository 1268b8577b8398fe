"""Thousands of servers in one process leave nothing behind in it."""

from __future__ import annotations

import pytest

from tests.e2e.measure import benchmark


@pytest.mark.long
def test_two_thousand_servers_leave_nothing_behind_in_the_process() -> None:
    code, printed = benchmark.run("soak", "--servers=2000")
    print(printed)
    assert code == 0
    assert "nothing has grown" in printed


@pytest.mark.docker
@pytest.mark.long
def test_thirty_containers_leave_nothing_behind_in_the_process() -> None:
    benchmark.needs_stub()
    code, printed = benchmark.run("soak", "--docker=30", "--at-once=8")
    print(printed)
    assert code == 0
    assert "nothing has grown" in printed
