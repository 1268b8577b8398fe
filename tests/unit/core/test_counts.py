"""Tallies have all their kinds from the start, and histograms count as Prometheus wants it."""

from __future__ import annotations

import math

import pytest

from tmpnb.core.counts import Durations, Tally


def test_a_tally_begins_with_all_kinds_at_0() -> None:
    assert dict(Tally("ab")) == {"a": 0, "b": 0}


def test_a_tally_counts_each_kind_for_itself() -> None:
    tally = Tally("abc")
    for kind in "abba":
        tally.count(kind)
    assert (tally["a"], tally["b"], tally["c"]) == (2, 2, 0)
    assert (tally.total(), tally.total("ac")) == (4, 2)


def test_a_tally_counts_nothing_that_it_does_not_know() -> None:
    tally = Tally("a")
    with pytest.raises(KeyError):
        tally.count("b")
    assert dict(tally) == {"a": 0}


def test_buckets_hold_all_that_are_not_longer() -> None:
    durations = Durations((1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 2.0, 7.0):
        durations.note(seconds)
    assert durations.buckets() == [(1.0, 2), (2.0, 4), (math.inf, 5)]
    assert (durations.count, durations.seconds) == (5, 12.0)


def test_a_clock_that_was_put_back_takes_nothing_away() -> None:
    durations = Durations((1.0,))
    durations.note(-3.0)
    assert (durations.count, durations.seconds) == (1, 0.0)
