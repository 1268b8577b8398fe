"""Who computes at full speed with nobody there: told from readings and traffic alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmpnb.core.burning import ALONE, APART, FULL, SHORTEST, Burners, Reading, alone_since
from tmpnb.core.observation import Instance, Observation, Route
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import ConfigError
from tmpnb.settings.culling import CullingSettings

NOW = 100_000.0
LONG_AGO = NOW - 500
HOME = "http://10.0.0.2:8888"
MOST = 100.0  # seconds


class Watch:
    """Readings of one server, one after the other."""

    def __init__(self, full: float = 1.0) -> None:
        self.burners, self.full = Burners(), full
        self.now, self.used, self.traffic = NOW, 10.0, LONG_AGO

    def look(self, seconds: float, used: float | None = None, *, takes: float = 0.0) -> bool:
        """Look `seconds` later, when it has used so many more; return whether it is to end."""
        self.now += seconds
        self.used += used or 0.0
        known = {} if used is None else {"a": self.used}
        reading = Reading(self.now, self.now + takes, known)
        self.now += takes
        alone = {"a": self.traffic}
        return "a" in self.burners.note(reading, alone, most=MOST, full=self.full)


def test_a_server_at_full_speed_ends_once_that_lasted_for_longer_than_allowed() -> None:
    watch = Watch()
    assert [watch.look(50, 50) for _ in range(4)] == [False, False, False, True]


def test_one_slow_while_begins_it_anew() -> None:
    watch = Watch()
    watch.look(50, 50)
    used = [50, 50, 44, 50, 50, 50]
    assert [watch.look(50, s) for s in used] == [False, False, False, False, False, True]


def test_full_speed_is_nine_tenths_of_one_processor_or_more() -> None:
    slow, fast, wide = Watch(), Watch(), Watch()
    for _ in range(3):
        assert not slow.look(60, 53.9)
        ended = fast.look(60, 54.1), wide.look(60, 240)
    assert ended == (True, True)


def test_where_less_than_one_processor_is_allowed_that_is_full_speed() -> None:
    half, more = Watch(full=0.5), Watch(full=4.0)
    for _ in range(3):
        ended = half.look(60, 27.1), more.look(60, 54.1)
    assert ended == (True, True)


def test_traffic_begins_it_anew_however_short_it_was() -> None:
    watch = Watch()
    for _ in range(2):
        watch.look(60, 60)
    watch.traffic = watch.now + 1
    assert [watch.look(60, 60) for _ in range(3)] == [False, False, True]


def test_who_was_visited_meanwhile_begins_anew() -> None:
    watch = Watch()
    for _ in range(2):
        watch.look(60, 60)
    nobody = Reading(watch.now, watch.now, {})
    assert watch.burners.note(nobody, {}, most=MOST, full=1.0) == frozenset()
    assert [watch.look(60, 60) for _ in range(3)] == [False, False, True]


def test_a_missed_reading_ends_nobody_and_is_made_good_by_the_next() -> None:
    watch = Watch()
    watch.look(60, 60)
    assert not any(watch.look(60) for _ in range(5))
    assert watch.look(60, 360)


def test_after_a_missed_reading_all_the_time_counts() -> None:
    watch = Watch()
    watch.look(60, 60)
    assert not watch.look(300)
    assert not watch.look(60, 60)


def test_a_slow_engine_makes_nobody_look_busy() -> None:
    """What was used while it answered may have been used after it was asked."""
    watch = Watch()
    watch.look(60, 60)
    assert not any(watch.look(60, 90, takes=30) for _ in range(10))


def test_a_server_that_was_started_anew_begins_anew() -> None:
    watch = Watch()
    watch.used = 1000.0
    for _ in range(2):
        watch.look(60, 60)
    watch.used = 5.0
    assert [watch.look(60, 60) for _ in range(3)] == [False, False, True]


def test_readings_in_quick_succession_are_no_measure() -> None:
    watch = Watch()
    watch.look(60, 60)
    assert not watch.look(APART / 2, 0)
    assert not watch.look(60, 60 + APART / 2)
    assert watch.look(MOST - 60 - APART / 4, MOST - 60), "it was full speed all the time"


def test_one_server_says_nothing_about_another() -> None:
    burners = Burners()
    for seconds in (0.0, 60.0, 120.0):
        at = NOW + seconds
        reading = Reading(at, at, {"a": seconds, "b": 0.0, "stranger": seconds})
        ended = burners.note(reading, {"a": LONG_AGO, "b": LONG_AGO}, most=MOST, full=1.0)
    assert ended == {"a"}


looks = st.lists(
    st.tuples(
        st.floats(APART, 400.0),  # seconds since the last
        st.floats(0.0, 1.5),  # processors used in between
        st.booleans(),  # whether somebody came by
        st.booleans(),  # whether the engine tells
    ),
    max_size=12,
)


@given(looks)
def test_nobody_ends_who_did_not_compute_that_long_or_was_visited(
    given_looks: list[tuple[float, float, bool, bool]],
) -> None:
    """Held against the whole history, which the tracker does not keep."""
    watch = Watch()
    known: list[tuple[float, float]] = []  # when, and how much by then
    for seconds, processors, visited, told in given_looks:
        if visited:
            watch.traffic = watch.now + seconds / 2
        used = seconds * processors
        if told:
            ended = watch.look(seconds, used)
            known.append((watch.now, watch.used))
        else:
            watch.used += used
            ended = watch.look(seconds)
        if ended:
            assert told
            before = [at for at, _ in known if watch.now - at > MOST and at >= watch.traffic]
            assert before, "it was not watched for so long since the last visit"
            assert watch.used - dict(known)[before[-1]] >= (FULL - 1e-6) * (watch.now - before[-1])


# Whom to ask about


def seen(*things: Instance | Route) -> Observation:
    return Observation(
        NOW,
        {t.server_id: t for t in things if isinstance(t, Instance)},
        {t.server_id: t for t in things if isinstance(t, Route)},
    )


def instance(*, running: bool = True) -> Instance:
    return Instance("a", running, LONG_AGO)


def claimed(since: float = LONG_AGO, phase: Phase = Phase.CLAIMED) -> NotebookServer:
    return NotebookServer("a", since, phase, claimed_at=since, address=HOME)


def test_a_claimed_server_without_traffic_is_alone_since_the_last() -> None:
    last = NOW - ALONE - 1
    assert alone_since(seen(instance(), Route("a", last, HOME)), [claimed()]) == {"a": last}


def test_one_with_traffic_just_now_is_not() -> None:
    assert alone_since(seen(instance(), Route("a", NOW - ALONE, HOME)), [claimed()]) == {}


def test_one_that_was_claimed_or_kept_just_now_is_not() -> None:
    world = seen(instance(), Route("a", LONG_AGO, HOME))
    kept = claimed()
    kept.kept_at = NOW - 1
    assert alone_since(world, [kept]) == {}
    assert alone_since(world, [claimed(NOW - ALONE)]) == {}


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.CLAIMED])
def test_one_that_nobody_has_is_not(phase: Phase) -> None:
    world = seen(instance(), Route("a", LONG_AGO, HOME))
    assert alone_since(world, [claimed(phase=phase)]) == {}


def test_without_a_route_or_an_instance_nothing_is_known() -> None:
    route = Route("a", LONG_AGO, HOME)
    assert alone_since(seen(instance()), [claimed()]) == {}
    assert alone_since(seen(route), [claimed()]) == {}
    assert alone_since(seen(instance(running=False), route), [claimed()]) == {}


# The setting


@pytest.mark.parametrize(
    ("given_seconds", "limit"), [(0, math.inf), (SHORTEST, SHORTEST), (14400, 14400)]
)
def test_nobody_ends_by_it_unless_the_operator_says_when(
    given_seconds: float, limit: float
) -> None:
    assert CullingSettings(cull_burning=given_seconds).max_burning() == limit
    assert CullingSettings().max_burning() == math.inf


@pytest.mark.parametrize(
    ("given_seconds", "said"),
    [(SHORTEST - 1, "too short to see that nobody is there"), (14401, "longer than --cull-max")],
)
def test_a_time_that_cannot_work_is_refused_in_one_line(given_seconds: float, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CullingSettings(cull_burning=given_seconds).max_burning()


def test_open_pages_show_far_more_often_than_an_operator_may_ask() -> None:
    most = 30.0  # seconds between two pings of a page's websocket
    assert 2 * most <= ALONE <= SHORTEST / 2
