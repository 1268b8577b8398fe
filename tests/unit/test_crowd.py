"""Crowd: work that can wait does so while visitors come, but not for ever."""

from __future__ import annotations

import asyncio

import pytest

from tmpnb import crowd
from tmpnb.crowd import Crowd

DEADLINE = 10.0  # seconds

pytestmark = pytest.mark.gen_test(timeout=20)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "QUIET", 0.05)
    monkeypatch.setattr(crowd, "LOOK", 0.005)


def now() -> float:
    return asyncio.get_running_loop().time()


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(crowd.LOOK)


async def test_nobody_waits_where_nobody_comes() -> None:
    waiting = asyncio.create_task(Crowd().pause(DEADLINE))
    await asyncio.sleep(0)
    assert waiting.done()


async def test_work_waits_for_all_visitors_and_a_moment_longer() -> None:
    visitors = Crowd()
    with visitors.visitor():
        with visitors.visitor():
            waiting = asyncio.create_task(visitors.pause(DEADLINE))
            await turns()
        await turns(20)
        assert not waiting.done(), "one is still being served"
    left = now()
    await waiting
    assert crowd.QUIET <= now() - left < DEADLINE / 2


async def test_one_who_is_turned_away_does_not_keep_work_waiting() -> None:
    visitors = Crowd()
    with pytest.raises(RuntimeError), visitors.visitor():
        raise RuntimeError
    await asyncio.wait_for(visitors.pause(float("inf")), DEADLINE)


async def test_visitors_who_come_without_a_pause_keep_work_waiting_only_so_long() -> None:
    visitors = Crowd()
    with visitors.visitor():
        begun = now()
        await visitors.pause(0.1)
        assert now() - begun >= 0.1
        await visitors.pause(-1.0)


async def test_what_cannot_wait_does_not() -> None:
    visitors, urgent = Crowd(), asyncio.Event()
    with visitors.visitor():
        waiting = asyncio.create_task(visitors.pause(float("inf"), urgent.is_set))
        await turns()
        assert not waiting.done()
        urgent.set()
        await asyncio.wait_for(waiting, DEADLINE)
