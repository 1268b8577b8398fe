"""The lifecycle of one server: only the listed moves, and what each writes down."""

from __future__ import annotations

import pytest

from tmpnb.core.server import MOVES, NotebookServer, Phase, StopReason, base_url
from tmpnb.errors import IllegalMoveError

NOW = 100_000.0
ALLOWED = {
    (Phase.STARTING, Phase.READY),
    (Phase.STARTING, Phase.STOPPING),
    (Phase.READY, Phase.CLAIMED),
    (Phase.READY, Phase.STOPPING),
    (Phase.CLAIMED, Phase.STOPPING),
    (Phase.STOPPING, Phase.GONE),
}


@pytest.mark.parametrize("old", Phase)
@pytest.mark.parametrize("new", Phase)
def test_only_listed_moves_are_allowed(old: Phase, new: Phase) -> None:
    server = NotebookServer("a", NOW, old, reason=StopReason.IDLE)
    if (old, new) in ALLOWED:
        server.move(new, NOW + 1)
        assert (server.phase, server.since) == (new, NOW + 1)
    else:
        with pytest.raises(IllegalMoveError, match=f"server a: no move {old} -> {new}"):
            server.move(new, NOW + 1)
        assert server == NotebookServer("a", NOW, old, reason=StopReason.IDLE)


def test_table_of_moves_covers_every_phase() -> None:
    assert set(MOVES) == set(Phase)
    assert {(old, new) for old, news in MOVES.items() for new in news} == ALLOWED


def test_a_claimed_server_can_never_be_ready_again() -> None:
    """What a visitor had holds files and must not reach another."""
    reached, fresh = {Phase.CLAIMED}, {Phase.CLAIMED}
    while fresh:
        fresh = {new for old in fresh for new in MOVES[old]} - reached
        reached |= fresh
    assert reached == {Phase.CLAIMED, Phase.STOPPING, Phase.GONE}


def test_claim_is_dated() -> None:
    server = NotebookServer("a", NOW, Phase.READY)
    server.move(Phase.CLAIMED, NOW + 5)
    assert server.claimed_at == NOW + 5
    server.move(Phase.STOPPING, NOW + 9, StopReason.IDLE)
    assert (server.since, server.claimed_at) == (NOW + 9, NOW + 5)


def test_unclaimed_server_has_no_claim_time() -> None:
    server = NotebookServer("a", NOW)
    server.move(Phase.READY, NOW + 1)
    server.move(Phase.STOPPING, NOW + 2, StopReason.SURPLUS)
    assert server.claimed_at is None


def test_reason_stays_to_the_end() -> None:
    server = NotebookServer("a", NOW, Phase.READY)
    assert server.reason is None
    server.move(Phase.STOPPING, NOW, StopReason.DRAINED)
    server.move(Phase.GONE, NOW)
    assert server.reason is StopReason.DRAINED


def test_base_url_has_both_slashes() -> None:
    assert base_url("abc") == "/user/abc/"
    assert NotebookServer("abc", NOW).base_url == "/user/abc/"


def test_phases_and_reasons_read_as_words_in_logs() -> None:
    assert f"{Phase.CLAIMED} {StopReason.TOO_OLD}" == "claimed too_old"
