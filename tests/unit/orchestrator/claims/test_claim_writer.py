"""A claim is in the journal until the engine has taken it, or the server is leaving."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.world import FakeClock, World, wait_until
from tmpnb.core.server import NotebookServer
from tmpnb.errors import NoInstanceError, SpawnerError
from tmpnb.orchestrator.claims.claim_journal import Journal
from tmpnb.spawners.fake import FakeSpawner

pytestmark = pytest.mark.gen_test(timeout=20)


class Refusing(FakeSpawner):
    """An engine that takes no marks until it is told to; `tries` are the marks it was sent."""

    refuses: Exception | None = SpawnerError("the engine restarts")

    def __init__(self) -> None:
        super().__init__()
        self.tries: list[str] = []

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        self.tries.append(server_id)
        if self.refuses is not None:
            raise self.refuses
        await super().mark_claimed(server_id, claimed_at)


def world_of(journal: Journal, spawner: FakeSpawner) -> World:
    return World(2, spawner=spawner, journal=journal)


async def claim(world: World) -> NotebookServer:
    await world.until_ready(2)
    return await world.orchestrator.claims.claim()


async def test_a_refused_mark_stays_in_the_journal_and_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.RETRY", 0.01)
    journal, spawner = Journal(tmp_path / "claims"), Refusing()
    async with world_of(journal, spawner).running() as world:
        server = await claim(world)
        for count in (1, 2, 3):
            await wait_until(lambda count=count: len(spawner.tries) >= count)
            assert list(journal.read()) == [server.id]
        await wait_until(lambda: "claim" in world.orchestrator.health.problems)
        spawner.refuses = None
        await wait_until(lambda: not journal.read())
        assert world.engine.servers["test", server.id].claimed_at == server.claimed_at
        assert "claim" not in world.orchestrator.health.problems


async def test_a_mark_without_an_answer_is_a_refused_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.WRITE_TIMEOUT", 0.01)
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.RETRY", 0.01)

    class Silent(Refusing):
        async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
            if not self.tries:
                self.tries.append(server_id)
                await asyncio.Event().wait()
            await super().mark_claimed(server_id, claimed_at)

    journal, spawner = Journal(tmp_path / "claims"), Silent()
    async with world_of(journal, spawner).running() as world:
        server = await claim(world)
        await wait_until(lambda: len(spawner.tries) > 1)
        assert list(journal.read()) == [server.id]
        spawner.refuses = None
        await wait_until(lambda: not journal.read())
        assert world.engine.servers["test", server.id].claimed_at == server.claimed_at


async def test_what_the_engine_refused_at_the_end_is_found_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.LONGEST_WAIT", 60.0)
    clock, journal, spawner = FakeClock(), Journal(tmp_path / "claims"), Refusing()
    before = World(2, spawner=spawner, journal=journal, clock=clock)
    async with before.running(stop_claimed=False):
        server = await claim(before)
    assert spawner.tries, "it was tried before the end"
    assert list(journal.read()) == [server.id]
    before.proxy.restart()
    after = World(2, engine=before.engine, proxy=before.proxy, clock=clock, journal=journal)
    async with after.running():
        await wait_until(lambda: after.orchestrator.claims.live(server.id))
        token_for = before.orchestrator.token_for
        assert after.orchestrator.token_for(server.id) == token_for(server.id)
    await before.engine.close()


@pytest.mark.parametrize("first", [None, SpawnerError("no")], ids=["at once", "later"])
async def test_a_server_that_is_gone_needs_no_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Exception | None
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.RETRY", 0.01)
    journal, spawner = Journal(tmp_path / "claims"), Refusing()
    spawner.refuses = first or NoInstanceError("it is gone")
    async with world_of(journal, spawner).running() as world:
        await claim(world)
        await wait_until(lambda: spawner.tries)
        spawner.refuses = NoInstanceError("it is gone")
        await wait_until(lambda: not journal.read())
        assert (len(spawner.tries) == 1) is (first is None)


async def test_a_server_that_leaves_takes_its_refused_mark_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.RETRY", 0.01)
    journal, spawner = Journal(tmp_path / "claims"), Refusing()
    async with world_of(journal, spawner).running() as world:
        server = await claim(world)
        await wait_until(lambda: spawner.tries)
        world.orchestrator.claims.close(server)
        await world.until_gone(server.id)
        await wait_until(lambda: not journal.read())
        assert "claim" not in world.orchestrator.health.problems


@pytest.mark.parametrize("tried", [True, False], ids=["tried again", "waits for the crowd"])
async def test_a_server_that_leaves_leaves_the_claim_of_the_next_of_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tried: bool
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.RETRY", 0.05)
    journal, spawner = Journal(tmp_path / "claims"), Refusing()
    async with world_of(journal, spawner).running() as world:
        first = await claim(world)
        if tried:
            await wait_until(lambda: spawner.tries)
        marks, retries = world.orchestrator.parts.marks, len(spawner.tries)
        world.orchestrator.claims.close(first)
        await world.until_gone(first.id)
        second = await world.orchestrator.claims.claim_as(first.id)
        await wait_until(lambda: len(spawner.tries) > retries + 2)
        assert marks._tried_again == 1, "the first is not tried again any more"
        assert list(journal.read()) == [second.id]
        assert "claim" in world.orchestrator.health.problems
        spawner.refuses = None
        await wait_until(lambda: not journal.read())
        assert world.engine.servers["test", second.id].claimed_at == second.claimed_at
        assert "claim" not in world.orchestrator.health.problems
