"""How long somebody in line will wait: what is told, and what is known of the starts under way."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.world import FakeClock, World, wait_until
from tmpnb.core.estimate import Coming, coarse, until_served, words
from tmpnb.orchestrator.launch.start_times import ASSUMED, StartTimes


@pytest.mark.parametrize(
    ("position", "ready", "seconds"),
    [
        (1, 1, 0.0),
        (1, 0, 4.0),  # of twelve, eight have passed
        (2, 0, 10.0),
        (3, 0, 16.0),  # queued behind the first: 4 s, then 12
        (4, 0, 22.0),
        (2, 1, 4.0),
        (5, 0, None),
    ],
)
def test_it_follows_the_starts_under_way(position: int, ready: int, seconds: float | None) -> None:
    coming = Coming(ages=(8.0, 2.0), queued=2, usual=12.0, slots=2)
    assert until_served(position, ready, coming) == seconds


def test_behind_all_starts_the_pace_of_late_counts() -> None:
    assert until_served(3, 0, Coming(ages=(1.0,), usual=5.0), pace=30.0) == 90.0
    assert until_served(2, 0, Coming(ages=(1.0,), usual=50.0), pace=3.0) == 49.0
    assert until_served(1, 0, Coming()) is None


def test_a_late_start_is_never_about_to_end() -> None:
    assert until_served(1, 0, Coming(ages=(40.0,), usual=10.0)) == 10.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.0, "That takes a few seconds."),
        (4.9, "That takes a few seconds."),
        (17.0, "That takes about 20 seconds."),
        (51.0, "That takes about a minute."),
        (119.0, "That takes about 2 minutes."),
        (3000.0, "That takes about 50 minutes."),
    ],
)
def test_words_are_as_coarse_as_what_is_known(seconds: float | None, said: str) -> None:
    assert words(coarse(seconds)) == said


def fail(times: StartTimes, *, begins: bool) -> None:
    with times.queueing() as begin:
        if begins:
            begin("b")
        raise RuntimeError


def test_times_are_those_of_starts_that_went_well() -> None:
    clock = FakeClock()
    times = StartTimes(clock, slots=2)
    assert times.coming().usual == ASSUMED
    for seconds in (4.0, 6.0, 50.0):
        with times.queueing() as begin:
            assert times.coming().queued == 1
            clock.advance(100)  # in the queue, which is no part of the start
            begin("a")
            clock.advance(seconds)
            assert times.coming().ages[0] == pytest.approx(seconds, abs=1)
    assert times.coming().usual == pytest.approx(6.0, abs=1)
    for begins in (True, False):
        with pytest.raises(RuntimeError):
            fail(times, begins=begins)
    assert times.coming() == Coming((), 0, times.coming().usual, 2)
    assert times.coming().usual == pytest.approx(6.0, abs=1)


@pytest.mark.gen_test(timeout=30)
async def test_the_first_visitors_are_told_before_anybody_was_served() -> None:
    world, may_start = World(2), asyncio.Event()
    start = world.spawner.start

    async def start_later(spec: object) -> str:
        await may_start.wait()
        return await start(spec)  # type: ignore[arg-type]

    world.spawner.start = start_later  # type: ignore[method-assign]  # a slow engine
    async with world.running():
        claims = world.orchestrator.claims
        await wait_until(lambda: len(world.orchestrator.parts.starter.times.coming().ages) == 2)
        tickets = [claims.queue() for _ in range(3)]
        told = [claims.place(ticket).estimate for ticket in tickets]
        assert told == [10, 10, None]
        world.clock.advance(6)
        assert claims.place(tickets[0]).estimate == 5
        may_start.set()
        await world.until_ready(2)
