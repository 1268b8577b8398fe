"""A lasting fault is said once, with the time it began, and its end is said, too."""

from __future__ import annotations

import logging

import pytest

from tmpnb.core.health import Health, Problem


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="tmpnb.core.health")


def test_new_health_is_well_and_has_seen_no_pass(health: Health) -> None:
    assert health.problems == {}
    assert health.last_pass is None


def test_same_problem_is_logged_once_and_keeps_its_begin(
    health: Health, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        health.report("engine", "does not answer")
        clock.now += 10
    assert health.problems == {"engine": Problem("does not answer", since=1000.0)}
    assert caplog.messages == ["engine: does not answer"]


def test_other_words_are_logged_and_the_begin_stays(
    health: Health, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    health.report("engine", "does not answer")
    clock.now += 10
    health.report("engine", "refused")
    assert health.problems == {"engine": Problem("refused", since=1000.0)}
    assert caplog.messages == ["engine: does not answer", "engine: refused"]


def test_other_last_words_of_the_same_fault_are_kept_and_not_logged_again(
    health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    health.report("start", "it does not answer; its last lines:\nat noon")
    health.report("start", "it does not answer; its last lines:\nat one")
    assert health.problems["start"].message.endswith("at one")
    assert caplog.messages == ["start: it does not answer; its last lines:\nat noon"]


def test_topics_are_apart(health: Health) -> None:
    health.report("engine", "down")
    health.report("proxy", "down")
    health.solved("engine")
    assert set(health.problems) == {"proxy"}


def test_end_is_logged_with_how_long_it_took(
    health: Health, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    health.report("proxy", "down")
    clock.now += 42
    health.solved("proxy")
    assert health.problems == {}
    assert caplog.messages[-1] == "proxy: well again after 42 s"


def test_what_was_no_problem_is_not_solved_in_the_log(
    health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    health.solved("proxy")
    assert caplog.messages == []


def test_problem_that_comes_back_begins_anew(health: Health, clock: Clock) -> None:
    health.report("proxy", "down")
    health.solved("proxy")
    clock.now += 10
    health.report("proxy", "down")
    assert health.problems["proxy"].since == 1010.0


def test_pass_is_dated(health: Health, clock: Clock) -> None:
    health.passed()
    clock.now += 10
    assert health.last_pass == 1000.0
