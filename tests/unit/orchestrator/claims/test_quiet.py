"""Crowd: work that can wait does so while visitors come, but not for ever."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.fake_proxy import FakeProxy
from tests.support.world import World
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.orchestrator import loop
from tmpnb.orchestrator.claims import quiet
from tmpnb.orchestrator.claims.quiet import Crowd

DEADLINE = 10.0  # seconds

pytestmark = pytest.mark.gen_test(timeout=20)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "QUIET", 0.05)
    monkeypatch.setattr(quiet, "LOOK", 0.005)


class SlowProxy(FakeProxy):
    """Takes its time for the first route."""

    def __init__(self) -> None:
        super().__init__("test")
        self.asked, self.may_end = asyncio.Event(), asyncio.Event()

    async def add_route(self, server_id: str, target: str) -> None:
        first = not self.asked.is_set()
        self.asked.set()
        if first:
            await self.may_end.wait()
        await super().add_route(server_id, target)


async def served(world: World, proxy: SlowProxy) -> asyncio.Task[NotebookServer]:
    """Let a visitor come who is still being served."""
    claim = asyncio.create_task(world.orchestrator.claims.claim())
    await proxy.asked.wait()
    return claim


def now() -> float:
    return asyncio.get_running_loop().time()


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(quiet.LOOK)


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
    assert quiet.QUIET <= now() - left < DEADLINE / 2


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


async def test_the_pool_fills_up_after_the_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LONGEST_CROWD", float("inf"))
    proxy = SlowProxy()
    async with World(5, min_ready=2, proxy=proxy, interval=60).running() as world:
        await world.until_ready(2)
        claim = await served(world, proxy)
        await turns(60)
        assert len(world.pool.servers) == 2, "none is started while a visitor is served"
        proxy.may_end.set()
        await claim
        await world.until_ready(2)


async def test_the_pool_fills_up_at_once_when_the_last_server_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "LONGEST_CROWD", float("inf"))
    proxy = SlowProxy()
    async with World(5, min_ready=2, proxy=proxy, interval=60).running() as world:
        await world.until_ready(2)
        claim = await served(world, proxy)
        await world.orchestrator.claims.claim()
        await world.until_ready(2)
        assert not claim.done()
        proxy.may_end.set()
        await claim


async def test_a_full_pool_without_a_ready_server_is_not_urgent() -> None:
    async with World(1).running() as world:
        await world.until_ready(1)
        assert not world.orchestrator.claims.urgent
        await world.orchestrator.claims.claim()
        assert world.servers(Phase.READY) == []
        assert not world.orchestrator.claims.urgent
        world.orchestrator.claims.queue()
        assert world.orchestrator.claims.urgent
