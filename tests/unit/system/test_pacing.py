"""Work that holds the loop takes turns, and leaves time for others."""

from __future__ import annotations

import asyncio

import pytest

from tmpnb.system import pacing
from tmpnb.system.pacing import OWN_REST, SHARED_REST, SHORT, Pace

pytestmark = pytest.mark.gen_test(timeout=20)


class Time:
    """What the work takes, and the rests that follow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.rests = 0.0, list[float]()
        monkeypatch.setattr(pacing, "perf_counter", lambda: self.now)
        monkeypatch.setattr(pacing.asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)

    def work(self, took: float, *, well: bool = True) -> str:
        self.now += took
        if not well:
            raise ValueError
        return "done"


async def test_a_rest_is_in_proportion_to_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    time, pace = Time(monkeypatch), Pace()
    assert await pace.do(lambda: time.work(0.5)) == "done"
    assert time.rests == [SHARED_REST * 0.5, OWN_REST * 0.5]


async def test_short_work_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    time, pace = Time(monkeypatch), Pace()
    await pace.do(lambda: time.work(SHORT / 2))
    assert time.rests == []


async def test_work_that_fails_is_rested_from_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    time, pace = Time(monkeypatch), Pace()
    with pytest.raises(ValueError):  # noqa: PT011 - it has no words
        await pace.do(lambda: time.work(1.0, well=False))
    assert time.rests == [SHARED_REST, OWN_REST]


async def test_nobody_works_while_another_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    rested, resting = asyncio.Event(), asyncio.Event()
    clock = iter([0.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr(pacing, "perf_counter", lambda: next(clock))

    async def rest(seconds: float) -> None:
        resting.set()
        if seconds == SHARED_REST:
            await rested.wait()

    monkeypatch.setattr(pacing.asyncio, "sleep", rest)
    pace, done = Pace(), list[str]()
    first = asyncio.create_task(pace.do(lambda: done.append("first")))
    await resting.wait()
    second = asyncio.create_task(pace.do(lambda: done.append("second")))
    for _ in range(5):
        await asyncio.wait([second], timeout=0)
    assert done == ["first"]
    rested.set()
    await asyncio.gather(first, second)
    assert done == ["first", "second"]
