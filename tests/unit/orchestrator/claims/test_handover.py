"""A claim outside: a server is given only if it lives, has its route, and is not stopping."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.fake_proxy import FakeProxy
from tests.support.world import World, wait_until
from tmpnb.core.server import Phase, StopReason
from tmpnb.errors import PoolEmptyError, SpawnerError
from tmpnb.orchestrator.claims.claim_journal import Journal
from tmpnb.spawners.fake import FakeSpawner

pytestmark = pytest.mark.gen_test(timeout=20)


class SlowProxy(FakeProxy):
    """Adds a route once it may."""

    go: asyncio.Event | None = None
    asked = 0

    async def add_route(self, server_id: str, target: str) -> None:
        self.asked += 1
        if self.go is not None:
            await self.go.wait()
        await super().add_route(server_id, target)


class Marking(FakeSpawner):
    """Counts the marks it is asked for, and may fail."""

    marks = 0
    failure: Exception | None = None
    hangs = False  # instead of failing

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        self.marks += 1
        if self.failure is not None:
            if self.hangs:
                await asyncio.Event().wait()
            raise self.failure
        await super().mark_claimed(server_id, claimed_at)


async def test_a_server_that_was_stopped_while_its_route_was_added_is_not_given() -> None:
    proxy = SlowProxy("test")
    async with World(1, proxy=proxy).running() as world:
        await world.until_ready(1)
        (server,) = world.servers(Phase.READY)
        proxy.go = asyncio.Event()
        claiming = asyncio.create_task(world.orchestrator.claims.claim())
        await wait_until(lambda: proxy.asked)
        world.orchestrator.claims.close(server)
        proxy.go.set()
        with pytest.raises(PoolEmptyError):
            await claiming
        assert server.reason is StopReason.CLOSED, "and its true reason is kept"


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("alive", [True, False])
async def test_the_engine_is_asked_once_while_a_visitor_waits_unless_all_is_well(
    tmp_path: Path, *, noted: bool, alive: bool
) -> None:
    """A claim in the journal is marked later; that of a silent server at once: is it the engine?"""
    spawner = Marking()
    journal = Journal(tmp_path / "claims") if noted else None
    async with World(1, spawner=spawner, journal=journal).running() as world:
        await world.until_ready(1)
        world.orchestrator.parts.marks._writing = True  # so that none is written in the background
        world.engine.answers = alive
        if alive:
            await world.orchestrator.claims.claim()
        else:
            with pytest.raises(PoolEmptyError):
                await world.orchestrator.claims.claim()
        assert spawner.marks == (0 if noted and alive else 1)


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_refused_mark_stays_in_the_journal_and_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.RETRY", 0.01)
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.WRITE_TIMEOUT", 0.05)
    spawner = Marking()
    spawner.failure, spawner.hangs = SpawnerError("device busy"), hangs
    async with World(1, spawner=spawner, journal=Journal(tmp_path / "claims")).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        await wait_until(lambda: spawner.marks > 3)
        assert set(Journal(tmp_path / "claims").read()) == {server.id}
        spawner.failure = None
        await wait_until(lambda: Journal(tmp_path / "claims").read() == {})
        assert world.engine.servers["test", server.id].claimed_at is not None
        assert "claim" not in world.orchestrator.health.problems
