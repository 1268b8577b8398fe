"""The pool hands each ready server out once, oldest first, and its numbers add up."""

from __future__ import annotations

import logging

import pytest

from tmpnb.core.pool import Pool
from tmpnb.core.refusals import Refusal
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import IllegalMoveError, PoolEmptyError, ServerExistsError


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Pool:
    return Pool(3, clock)


def add(pool: Pool, server_id: str, *phases: Phase) -> NotebookServer:
    server = NotebookServer(server_id, 0.0)
    pool.add(server)
    for phase in phases:
        pool.move(server, phase)
    return server


def test_server_that_has_been_ready_longest_goes_first(pool: Pool, clock: Clock) -> None:
    """P3: the original gave out the newest, which might still boot; the oldest never left."""
    for server_id in "bac":
        clock.now += 1
        add(pool, server_id, Phase.READY)
    assert [pool.claim().id for _ in range(3)] == ["b", "a", "c"]


def test_order_is_by_becoming_ready_not_by_being_asked_for(pool: Pool, clock: Clock) -> None:
    early, late = add(pool, "early"), add(pool, "late")
    for server in (late, early):
        clock.now += 1
        pool.move(server, Phase.READY)
    assert pool.claim() is late


def test_claimed_server_is_never_given_again(pool: Pool) -> None:
    add(pool, "a", Phase.READY)
    assert pool.claim().phase is Phase.CLAIMED
    with pytest.raises(PoolEmptyError):
        pool.claim()


def test_claim_is_dated_by_the_pools_clock(pool: Pool, clock: Clock) -> None:
    add(pool, "a", Phase.READY)
    clock.now += 77
    assert pool.claim().claimed_at == clock.now


@pytest.mark.parametrize(
    "phases",
    [
        (),
        (Phase.READY, Phase.CLAIMED),
        (Phase.STOPPING,),
        (Phase.READY, Phase.STOPPING),
        (Phase.STOPPING, Phase.GONE),
    ],
)
def test_only_ready_servers_are_given_out(pool: Pool, phases: tuple[Phase, ...]) -> None:
    """P3, P4: those that boot and those that died were handed out, too."""
    add(pool, "a", *phases)
    assert pool.oldest_ready() is None
    with pytest.raises(PoolEmptyError):
        pool.claim()


def test_server_for_one_visitor_is_claimed_as_it_becomes_ready(pool: Pool, clock: Clock) -> None:
    server = add(pool, "a")
    pool.claim_this(server)
    assert (server.phase, server.claimed_at) == (Phase.CLAIMED, clock.now)
    assert pool.stats().claims_total == 1


def test_server_for_one_visitor_that_already_stops_is_not_given(pool: Pool) -> None:
    server = add(pool, "a", Phase.STOPPING)
    with pytest.raises(IllegalMoveError):
        pool.claim_this(server)
    assert pool.stats().claims_total == 0


def test_id_in_use_is_refused(pool: Pool) -> None:
    """P14: a visitor's own id must never replace a server that lives."""
    first = add(pool, "a", Phase.READY)
    with pytest.raises(ServerExistsError, match="a server a exists"):
        pool.add(NotebookServer("a", 0.0))
    assert pool.servers == {"a": first}


def test_id_is_in_use_until_its_server_is_gone(pool: Pool) -> None:
    server = add(pool, "a", Phase.STOPPING)
    with pytest.raises(ServerExistsError):
        add(pool, "a")
    pool.move(server, Phase.GONE)
    assert add(pool, "a").phase is Phase.STARTING


def test_server_that_is_gone_leaves_the_pool(pool: Pool) -> None:
    server = add(pool, "a", Phase.STOPPING)
    assert pool.servers == {"a": server}
    pool.move(server, Phase.GONE)
    assert pool.servers == {}


def test_illegal_move_leaves_the_pool_as_it_was(pool: Pool) -> None:
    server = add(pool, "a", Phase.READY)
    with pytest.raises(IllegalMoveError):
        pool.move(server, Phase.GONE)
    assert pool.servers == {"a": server}
    assert server.phase is Phase.READY


@pytest.mark.parametrize(
    "phases", [(), (Phase.READY,), (Phase.READY, Phase.CLAIMED), (Phase.STOPPING,)]
)
def test_every_server_takes_room_until_it_is_gone(pool: Pool, phases: tuple[Phase, ...]) -> None:
    """P6, P17: what neither waited nor worked was counted by nobody."""
    add(pool, "a", *phases)
    add(pool, "b")
    assert pool.has_room()
    add(pool, "c")
    assert not pool.has_room()


def test_numbers_add_up(pool: Pool) -> None:
    """T3: `used` was capacity minus available, so what booted or had died was in use."""
    add(pool, "starting")
    add(pool, "ready", Phase.READY)
    add(pool, "claimed", Phase.READY, Phase.CLAIMED)
    add(pool, "stopping", Phase.STOPPING)
    add(pool, "gone", Phase.STOPPING, Phase.GONE)
    assert pool.stats().as_dict() == {
        "capacity": 3,
        "available": 1,
        "starting": 1,
        "claimed": 1,
        "stopping": 1,
        "claims_total": 0,
        "claims_refused_total": 0,
    }


def test_claims_and_refusals_are_counted(pool: Pool) -> None:
    add(pool, "a", Phase.READY)
    pool.claim()
    for _ in range(2):
        with pytest.raises(PoolEmptyError, match="no notebook is ready"):
            pool.claim()
    with pytest.raises(PoolEmptyError):
        pool.refuse()
    stats = pool.stats()
    assert (stats.claims_total, stats.claims_refused_total) == (1, 3)


def test_a_refusal_for_another_reason_than_want_of_a_server_is_counted_apart(pool: Pool) -> None:
    with pytest.raises(PoolEmptyError):
        pool.refuse(Refusal.ENGINE)
    pool.refusals.count(Refusal.PROXY)
    assert pool.stats().claims_refused_total == 1
    assert {why for why, count in pool.refusals if count} == {Refusal.ENGINE, Refusal.PROXY}


def test_a_start_lasts_from_its_begin_until_the_server_is_ready(pool: Pool, clock: Clock) -> None:
    server = NotebookServer("a", clock.now)
    pool.add(server)
    clock.now += 3.0
    pool.move(server, Phase.READY)
    clock.now += 50.0
    pool.move(server, Phase.CLAIMED)
    assert (pool.starts.count, pool.starts.seconds) == (1, 3.0)


def test_a_start_that_fails_is_none(pool: Pool) -> None:
    pool.move(add(pool, "a"), Phase.STOPPING, StopReason.START_FAILED)
    assert pool.starts.count == 0


def test_ends_are_counted_once_by_reason_and_by_who_had_the_server(pool: Pool) -> None:
    theirs, nobodys = add(pool, "a", Phase.READY, Phase.CLAIMED), add(pool, "b", Phase.READY)
    for server in (theirs, nobodys):
        pool.move(server, Phase.STOPPING, StopReason.EXITED)
        pool.move(server, Phase.GONE)
    assert pool.ends.total() == 2
    assert pool.ends[StopReason.EXITED, True] == pool.ends[StopReason.EXITED, False] == 1


def test_totals_outlive_the_servers(pool: Pool) -> None:
    server = add(pool, "a", Phase.READY)
    pool.claim()
    pool.move(server, Phase.STOPPING, StopReason.IDLE)
    pool.move(server, Phase.GONE)
    assert pool.stats().claims_total == 1


def test_each_move_is_one_line_in_the_log(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    server = add(pool, "a", Phase.READY)
    with caplog.at_level(logging.INFO, logger="tmpnb.core.pool"):
        pool.move(server, Phase.STOPPING, StopReason.IDLE)
    assert caplog.messages == ["server move id=a from=ready to=stopping reason=idle"]


@pytest.mark.parametrize(
    ("was", "reason", "noted"),
    [
        (Phase.CLAIMED, StopReason.IDLE, StopReason.IDLE),
        (Phase.READY, StopReason.SURPLUS, None),
        (Phase.READY, StopReason.UNKNOWN, StopReason.UNKNOWN),
        (Phase.CLAIMED, None, None),
    ],
)
def test_the_end_of_a_server_that_a_visitor_may_have_had_is_remembered(
    pool: Pool, was: Phase, reason: StopReason | None, noted: StopReason | None
) -> None:
    server = add(pool, "a", *(Phase.READY, Phase.CLAIMED)[: 1 + (was is Phase.CLAIMED)])
    pool.move(server, Phase.STOPPING, reason)
    pool.move(server, Phase.GONE, StopReason.EXITED)
    ending = pool.endings.of("a")
    assert (ending.reason if ending else None) is noted


def test_what_a_former_orchestrator_left_does_not_hide_the_end_that_is_known(pool: Pool) -> None:
    for was, reason in ((Phase.CLAIMED, StopReason.CLOSED), (Phase.READY, StopReason.UNKNOWN)):
        server = add(pool, "a", *(Phase.READY, Phase.CLAIMED)[: 1 + (was is Phase.CLAIMED)])
        pool.move(server, Phase.STOPPING, reason)
        pool.move(server, Phase.GONE)
    ending = pool.endings.of("a")
    assert ending is not None
    assert ending.reason is StopReason.CLOSED


def test_what_has_gone_is_remembered_for_as_long_as_it_is_asked(pool: Pool, clock: Clock) -> None:
    add(pool, "a", Phase.STOPPING, Phase.GONE)
    gone_at = clock.now
    clock.now += 1
    add(pool, "b", Phase.STOPPING, Phase.GONE)
    assert pool.gone_since(gone_at) == {"a", "b"}
    assert pool.gone_since(gone_at + 1) == {"b"}
    assert pool.gone_since(gone_at) == {"b"}, "and no longer"
