"""The first of a kind is told from its repeats, none of which is lost, in bounded memory."""

from __future__ import annotations

import pytest

from tmpnb.system.logs.repeats import Repeats

SPAN, MOST = 60.0, 3


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repeats(clock: Clock) -> Repeats[str]:
    return Repeats(clock, SPAN, MOST)


def comes(repeats: Repeats[str], kind: str, times: int = 1) -> list[bool]:
    return [repeats.is_first(kind, f"any {kind[0]}", kind) for _ in range(times)]


def test_the_first_of_a_kind_is_first_and_no_other(repeats: Repeats[str]) -> None:
    assert comes(repeats, "a", 3) == [True, False, False]
    assert comes(repeats, "b") == [True]


def test_repeats_are_told_when_their_time_is_over_and_not_before(
    repeats: Repeats[str], clock: Clock
) -> None:
    comes(repeats, "a", 313)
    clock.now += SPAN - 1
    comes(repeats, "b", 2)
    assert repeats.take_due() == []
    clock.now += 1
    assert repeats.take_due() == [("a", 312)]
    clock.now += SPAN - 1
    assert repeats.take_due() == [("b", 1)]


def test_what_goes_on_is_counted_anew_and_is_not_first_again(
    repeats: Repeats[str], clock: Clock
) -> None:
    comes(repeats, "a", 3)
    for _ in range(5):
        clock.now += SPAN
        assert repeats.take_due() == [("a", 2)]
        assert comes(repeats, "a", 2) == [False, False]


def test_what_has_ended_is_forgotten_and_is_first_when_it_comes_again(
    repeats: Repeats[str], clock: Clock
) -> None:
    comes(repeats, "a", 2)
    clock.now += SPAN
    assert repeats.take_due() == [("a", 1)]
    clock.now += SPAN
    assert repeats.take_due() == []
    assert len(repeats) == 0
    assert repeats.seconds_until_due() is None
    assert comes(repeats, "a") == [True]


def test_it_says_when_there_is_something_to_tell(repeats: Repeats[str], clock: Clock) -> None:
    comes(repeats, "a")
    clock.now += 20
    comes(repeats, "b")
    assert repeats.seconds_until_due() == SPAN - 20
    clock.now += SPAN
    assert repeats.seconds_until_due() == 0


def test_more_kinds_than_are_told_apart_count_as_wider_ones(
    repeats: Repeats[str], clock: Clock
) -> None:
    told = [one for number in range(1000) if comes(repeats, one := f"x{number}") == [True]]
    assert told == ["x0", "x1", "x2", "x3"]
    assert comes(repeats, "y1") == [True], "a wider kind of its own"
    assert comes(repeats, "x1") == [False], "it is known"
    assert len(repeats) == MOST + 2
    clock.now += SPAN
    assert repeats.take_due() == [("x1", 1), ("x3", 996)]


def test_at_the_end_all_is_told(repeats: Repeats[str]) -> None:
    comes(repeats, "a", 3)
    assert repeats.take_due(all_of_them=True) == [("a", 2)]
