"""What a visitor asked to keep is kept over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.world import FakeClock, World, wait_until
from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.orchestrator.claims.claim_journal import LONGEST, Journal
from tmpnb.orchestrator.claims.keeps import Keeps

asynchronous = pytest.mark.gen_test(timeout=20)


def claimed(pool: Pool, server_id: str, clock: FakeClock) -> NotebookServer:
    server = NotebookServer(server_id, clock(), phase=Phase.CLAIMED, claimed_at=clock())
    pool.add(server)
    return server


@asynchronous
async def test_a_kept_server_is_not_idle_after_a_restart(tmp_path: Path) -> None:
    before = World(2, kept=Journal(tmp_path / "pool.kept"))
    async with before.crashing():
        await before.until_ready(2)
        kept, other = [await before.orchestrator.claims.claim() for _ in range(2)]
        await wait_until(lambda: all(s.claimed_at for s in before.engine.servers.values()))
        before.clock.advance(90)
        before.orchestrator.claims.keep(kept)
    after = World(
        2,
        engine=before.engine,
        proxy=before.proxy,
        clock=before.clock,
        kept=Journal(tmp_path / "pool.kept"),
    )
    async with after.running(stop_claimed=True):
        await wait_until(lambda: after.orchestrator.claims.live(kept.id))
        after.clock.advance(50)
        await after.cull()
        await after.until_gone(other.id)
        assert after.orchestrator.claims.live(kept.id)
        after.clock.advance(60)
        await after.cull()
        await after.until_gone(kept.id)
    await before.engine.close()


def test_the_last_word_counts_and_who_has_left_is_forgotten(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "kept"
    pool = Pool(3, clock)
    keeps = Keeps(pool, clock, Journal(path))
    a, b = claimed(pool, "a", clock), claimed(pool, "b", clock)
    keeps.keep(a)
    clock.advance(10)
    keeps.keep(a)
    assert Journal(path).read() == {"a": float(int(a.kept_at or 0))}
    pool.move(a, Phase.STOPPING, StopReason.CLOSED)
    keeps.keep(b)
    again = Keeps(pool, clock, Journal(path))
    b.kept_at = None
    again.restore([b])
    assert b.kept_at == float(int(clock.now))
    assert set(Journal(path).read()) == {"b"}


def test_no_file_can_keep_a_server_longer_than_from_now(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "kept"
    path.write_text("a 999999999999\nb 9999999999999999999999\nc -5\nd\n")
    pool = Pool(3, clock)
    servers = [claimed(pool, server_id, clock) for server_id in "abcd"]
    Keeps(pool, clock, Journal(path)).restore(servers)
    assert servers[0].kept_at is not None
    assert servers[0].kept_at <= clock()
    assert [server.kept_at for server in servers[1:]] == [None] * 3


def test_to_keep_again_and_again_fills_no_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "kept")
    for moment in range(LONGEST + 10):
        assert journal.note("a", moment)
    assert len((tmp_path / "kept").read_text().splitlines()) < 20
    assert journal.read() == {"a": LONGEST + 9.0}


def test_servers_that_have_left_fill_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_journal.LONGEST", 5)
    clock = FakeClock()
    pool = Pool(1, clock)
    keeps = Keeps(pool, clock, Journal(tmp_path / "kept"))
    for number in range(50):
        server = claimed(pool, f"s{number}", clock)
        keeps.keep(server)
        pool.move(server, Phase.STOPPING, StopReason.CLOSED)
        pool.move(server, Phase.GONE)
    assert len((tmp_path / "kept").read_text().splitlines()) < 10


def test_a_file_that_cannot_be_written_costs_only_the_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    pool = Pool(1, clock)
    server = claimed(pool, "a", clock)
    Keeps(pool, clock, Journal(tmp_path / "absent" / "kept")).keep(server)
    assert server.kept_at is not None
