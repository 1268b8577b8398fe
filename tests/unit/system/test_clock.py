"""The steady clock: what a jump of the system's clock does to it, and to what others wrote."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmpnb.system.clock import JUMP, SteadyClock

HOUR = 3600.0
BEGIN = 1_000_000.0


class Machine:
    """A machine's two clocks, and the steady one made of them."""

    def __init__(self) -> None:
        self.system, self.monotonic = BEGIN, 50.0
        self.steady = SteadyClock(lambda: self.system, lambda: self.monotonic)

    def run(self, seconds: float) -> None:
        self.system += seconds
        self.monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the system's clock; somebody looks at ours soon after."""
        self.system += seconds
        self.steady()


def test_it_starts_with_the_systems_time_and_runs_with_it() -> None:
    machine = Machine()
    machine.run(10)
    assert machine.steady() == BEGIN + 10


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_jump_moves_nothing(jump: float) -> None:
    machine = Machine()
    machine.jump(jump)
    machine.run(10)
    assert machine.steady() == BEGIN + 10


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_reading_from_after_a_jump_is_understood(jump: float) -> None:
    machine = Machine()
    machine.jump(jump)
    machine.run(10)
    read = machine.system
    machine.run(5)
    assert machine.steady.from_system(read) == BEGIN + 10


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_reading_from_before_a_jump_is_never_taken_for_an_older_one(jump: float) -> None:
    """Ten minutes ago means ten minutes ago, not seventy: nobody is culled by a jump."""
    machine = Machine()
    read = machine.system
    machine.run(600)
    machine.jump(jump)
    assert BEGIN <= machine.steady.from_system(read) <= BEGIN + 600


def test_what_is_written_down_is_read_back_after_a_restart() -> None:
    machine = Machine()
    machine.jump(HOUR)
    machine.run(10)
    written = machine.steady.to_system(machine.steady())
    machine.run(20)
    after = SteadyClock(lambda: machine.system, lambda: machine.monotonic)
    assert after() - after.from_system(written) == pytest.approx(20)


def test_a_jump_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    with caplog.at_level(logging.WARNING):
        machine.jump(-HOUR)
        machine.run(100)
        machine.steady()
    assert [record.getMessage() for record in caplog.records] == [
        "the system's clock jumped by -3600 s; no notebook ages by that"
    ]


@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(-7200, 7200)), max_size=7))
def test_whatever_the_system_does_ages_are_never_too_long(story: list[tuple[float, float]]) -> None:
    machine = Machine()
    readings = []
    for seconds, jump in story:
        machine.run(seconds)
        readings.append((machine.steady(), machine.system))
        machine.jump(jump)
    now = machine.steady()
    assert now == pytest.approx(BEGIN + sum(seconds for seconds, _ in story))
    for truth, read in readings:
        assert truth - JUMP - 1e-3 <= machine.steady.from_system(read) <= now
