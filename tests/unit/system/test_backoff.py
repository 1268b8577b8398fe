"""A broken image costs one start each pause, and pauses grow to a limit."""

from __future__ import annotations

import random

import pytest

from tmpnb.system.backoff import FIRST, LONGEST, Backoff


@pytest.fixture
def backoff() -> Backoff:
    return Backoff(random_factor=lambda: 1.0)


def test_without_failure_everything_is_allowed_at_once(backoff: Backoff) -> None:
    assert backoff.allowed(7, under_way=3, now=0.0) == 7
    assert backoff.allowed(0, under_way=0, now=0.0) == 0


def test_pauses_double_up_to_a_limit(backoff: Backoff) -> None:
    pauses, now = [], 1000.0
    for _ in range(9):
        backoff.failed(now)
        pauses.append(backoff.due - now)
        now = backoff.due
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert (pauses[0], pauses[-1]) == (FIRST, LONGEST)


def test_thousands_of_failures_still_give_a_number(backoff: Backoff) -> None:
    for number in range(5000):
        backoff.failed(number * LONGEST)
    assert backoff.due == 5000 * LONGEST
    assert backoff.failures == 5000


def test_tries_that_fail_together_count_as_one(backoff: Backoff) -> None:
    for _ in range(10):
        backoff.failed(1000.0)
    assert backoff.failures == 1
    assert backoff.due == 1000.0 + FIRST


def test_jitter_never_goes_beyond_the_longest_pause() -> None:
    backoff = Backoff(random_factor=lambda: 1.2)
    for _ in range(20):
        now = backoff.due
        backoff.failed(now)
    assert backoff.due - now == LONGEST


def test_nothing_is_allowed_before_the_pause_is_over(backoff: Backoff) -> None:
    backoff.failed(1000.0)
    assert backoff.allowed(5, under_way=0, now=1000.99) == 0
    assert backoff.allowed(5, under_way=0, now=1001.0) == 1


def test_one_try_at_a_time_until_one_succeeds(backoff: Backoff) -> None:
    backoff.failed(1000.0)
    assert backoff.allowed(5, under_way=0, now=2000.0) == 1
    assert backoff.allowed(5, under_way=1, now=2000.0) == 0
    assert backoff.allowed(0, under_way=0, now=2000.0) == 0
    backoff.succeeded()
    assert backoff.allowed(5, under_way=1, now=2000.0) == 5


def test_success_begins_the_count_anew(backoff: Backoff) -> None:
    for _ in range(6):
        backoff.failed(backoff.due)
    assert backoff.failures == 6
    backoff.succeeded()
    assert (backoff.failures, backoff.due) == (0, 0.0)
    backoff.failed(1000.0)
    assert backoff.due == 1000.0 + FIRST


def test_pauses_differ_so_that_pools_do_not_start_in_step() -> None:
    random.seed(1)
    found = set()
    for _ in range(50):
        backoff = Backoff()
        backoff.failed(0.0)
        found.add(backoff.due)
    assert len(found) > 40
    assert min(found) >= 0.8 * FIRST
    assert max(found) <= 1.2 * FIRST
