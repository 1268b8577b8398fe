"""What those in line are told of the time it takes, for any starts under way."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tmpnb.core.estimate import LATE, Coming, coarse, until_served, words

SECONDS = st.floats(0, 3600, allow_nan=False)
COMINGS = st.builds(
    Coming,
    ages=st.lists(SECONDS, max_size=8).map(tuple),
    queued=st.integers(0, 20),
    usual=st.floats(0.1, 600, allow_nan=False),
    slots=st.integers(1, 8),
)
PACES = st.none() | SECONDS
PLACES = st.integers(1, 40)


def later(coming: Coming, seconds: float) -> Coming:
    return Coming(
        tuple(age + seconds for age in coming.ages), coming.queued, coming.usual, coming.slots
    )


@given(PLACES, st.integers(0, 10), COMINGS, PACES)
def test_it_is_a_time_and_never_negative(
    position: int, ready: int, coming: Coming, pace: float | None
) -> None:
    seconds = until_served(position, ready, coming, pace)
    assert seconds is None or 0 <= seconds < math.inf
    if pace is not None or position <= ready + len(coming.ages) + coming.queued:
        assert seconds is not None


@given(PLACES, st.integers(0, 10), COMINGS, PACES)
def test_nobody_further_behind_is_told_of_less(
    position: int, ready: int, coming: Coming, pace: float | None
) -> None:
    mine, next_one = (until_served(p, ready, coming, pace) for p in (position, position + 1))
    if next_one is not None:
        assert mine is not None
        assert mine <= next_one


@given(PLACES, COMINGS, PACES, st.floats(0, 60))
def test_it_grows_no_faster_than_a_late_start_and_never_leaps(
    position: int, coming: Coming, pace: float | None, passed: float
) -> None:
    before = until_served(position, 0, coming, pace)
    after = until_served(position, 0, later(coming, passed), pace)
    if before is not None:
        assert after is not None
        rounds = 1 + coming.queued  # those that wait for a late one are as late
        assert after <= before + LATE * passed * rounds + 1e-6


@given(st.floats(0, 1e6))
def test_steps_are_coarse_and_promise_nothing_too_early(seconds: float) -> None:
    shown = coarse(seconds)
    assert shown is not None
    assert seconds <= shown <= max(5, seconds + 60)
    assert shown % 5 == 0


@given(st.none() | st.integers(0, 100_000))
def test_words_are_one_sentence(seconds: int | None) -> None:
    said = words(seconds)
    assert said == "" if seconds is None else said.startswith("That takes ")
    assert " 0 " not in said
    assert " 1 minutes" not in said
