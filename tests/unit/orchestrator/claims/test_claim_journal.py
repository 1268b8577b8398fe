"""Claims that the engine does not know yet are in a file, and outlive the orchestrator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.world import World, wait_until
from tmpnb.orchestrator.claims.claim_journal import LONGEST, Journal
from tmpnb.spawners.fake import FakeSpawner

asynchronous = pytest.mark.gen_test(timeout=20)


class Slow(FakeSpawner):
    """An engine that takes its time to mark a claim."""

    def __init__(self) -> None:
        super().__init__()
        self.may_mark = asyncio.Event()

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        await self.may_mark.wait()
        await super().mark_claimed(server_id, claimed_at)


def test_what_is_noted_is_read_and_what_is_settled_is_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "claims")
    assert journal.read() == {}
    assert journal.note("a", 1000.9)
    assert journal.note("b", 2000.0)
    assert Journal(tmp_path / "claims").read() == {"a": 1000.0, "b": 2000.0}
    journal.settle("a")
    journal.settle("b")
    journal.settle("b")
    assert Journal(tmp_path / "claims").read() == {}


@pytest.mark.parametrize("torn", ["b 20", "b\n", " 17\n", "b now\n", "\n", "b -1\n", "\udcff 1"])
def test_a_line_that_makes_no_sense_is_left_out(tmp_path: Path, torn: str) -> None:
    (tmp_path / "claims").write_bytes(b"a 1000\n" + torn.encode(errors="surrogateescape"))
    assert Journal(tmp_path / "claims").read() == {"a": 1000.0}


def test_after_a_torn_line_the_next_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("a 1000\nb 20")
    journal = Journal(tmp_path / "claims")
    journal.begin(journal.read())
    journal.note("c", 3000)
    assert journal.read() == {"a": 1000.0, "c": 3000.0}


def test_the_file_does_not_grow_while_one_claim_stays_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "claims")
    journal.note("open", 1)
    for number in range(LONGEST + 5):
        journal.note(f"s{number}", 2)
        journal.settle(f"s{number}")
    assert journal.read()["open"] == 1.0
    assert len((tmp_path / "claims").read_text().splitlines()) < 10


def test_a_file_that_cannot_be_written_is_said_and_breaks_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "away" / "claims")
    assert not journal.note("a", 1)
    journal.begin({"a": 1.0})
    journal.settle("a")
    assert Journal(tmp_path).read() == {}, "a directory"
    assert not Journal(tmp_path / "claims").note("ä", 1)


@asynchronous
async def test_a_visitor_does_not_wait_for_the_engine(tmp_path: Path) -> None:
    spawner, journal = Slow(), Journal(tmp_path / "claims")
    async with World(1, spawner=spawner, journal=journal).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        held = world.engine.servers["test", server.id]
        assert held.claimed_at is None
        assert list(journal.read()) == [server.id]
        spawner.may_mark.set()
        await wait_until(lambda: held.claimed_at == server.claimed_at)
        await wait_until(lambda: not journal.read())


@asynchronous
async def test_a_claim_survives_by_the_journal_without_mark_and_route(tmp_path: Path) -> None:
    before = World(2, spawner=Slow(), journal=Journal(tmp_path / "claims"))
    async with before.crashing():
        await before.until_ready(2)
        kept = await before.orchestrator.claims.claim()
        before.proxy.table.clear()
    after = World(2, engine=before.engine, clock=before.clock, journal=Journal(tmp_path / "claims"))
    async with after.running():
        await wait_until(lambda: after.orchestrator.claims.live(kept.id))
        adopted = after.orchestrator.claims.live(kept.id)
        assert adopted is not None
        assert kept.claimed_at is not None
        assert adopted.claimed_at == int(kept.claimed_at)
    await before.engine.close()


@asynchronous
async def test_without_a_journal_that_can_be_written_the_visitor_waits(tmp_path: Path) -> None:
    world = World(1, journal=Journal(tmp_path / "away" / "claims"))
    async with world.running():
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        assert world.engine.servers["test", server.id].claimed_at == server.claimed_at


@asynchronous
async def test_an_orderly_end_leaves_every_claim_marked(tmp_path: Path) -> None:
    spawner, journal = Slow(), Journal(tmp_path / "claims")
    world = World(3, spawner=spawner, journal=journal)
    async with world.running(stop_claimed=False):
        await world.until_ready(3)
        given = [await world.orchestrator.claims.claim() for _ in range(3)]
        spawner.may_mark.set()
    assert all(world.engine.servers["test", s.id].claimed_at for s in given)


@asynchronous
async def test_what_left_before_it_was_marked_is_not_in_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "claims")
    world = World(2, journal=journal)
    async with world.running():
        await world.until_ready(2)
        server = await world.orchestrator.claims.claim()
        world.orchestrator.claims.abandon(server.id)
        await world.until_gone(server.id)
        await wait_until(lambda: not journal.read())


def test_a_line_that_a_full_disk_has_cut_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "claims")
    (tmp_path / "claims").write_text("a 1000\nb 20")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        assert not journal.note("b", 2000)
    assert journal.note("c", 3000)
    assert journal.read() == {"a": 1000.0, "c": 3000.0}


def refuse(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")
