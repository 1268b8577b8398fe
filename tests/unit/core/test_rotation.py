"""How unclaimed servers are replaced: a few at a time, never short of ready ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmpnb.core.rotation import Unclaimed, oldest_first, why_replaced
from tmpnb.core.server import NotebookServer, Phase, StopReason

NOW = 1000.0


def ready(name: str, *, created_at: float = 0.0, drained: bool = True) -> NotebookServer:
    return NotebookServer(
        name, since=created_at, phase=Phase.READY, created_at=created_at, drained=drained
    )


def unclaimed(old: int, **more: int) -> Unclaimed:
    counts = {"ready": old, "starting": 0, "stopping": 0, "room": 0, "wanted": old} | more
    return Unclaimed(tuple(ready(f"s{i}") for i in range(old)), **counts)


@pytest.mark.parametrize(
    ("pool", "stops", "launches"),
    [
        (unclaimed(10, room=5), 0, 2),  # with room, the new ones come first
        (unclaimed(10, room=3, ready=12), 2, 2),  # and the old ones go when they are there
        (unclaimed(10, room=0), 2, 0),  # without room, a few go first
        (unclaimed(8, room=0, stopping=2), 0, 0),  # and the next when those are replaced
        (unclaimed(8, room=2, wanted=10), 0, 2),
        (unclaimed(8, room=0, starting=2, wanted=10), 0, 0),
        (unclaimed(1, room=9, ready=5, wanted=5), 0, 1),  # never more than are replaced
        (unclaimed(0, ready=3, room=2, wanted=5), 0, 2),  # nothing old: what is missing
        (unclaimed(0, ready=0, room=9, wanted=9), 0, 9),  # an empty pool fills at once
    ],
)
def test_steps_of_a_replacement(pool: Unclaimed, stops: int, launches: int) -> None:
    assert (len(pool.to_stop(at_once=2)), pool.to_launch(at_once=2)) == (stops, launches)


@given(
    capacity=st.integers(1, 30),
    claimed=st.integers(0, 30),
    min_ready=st.integers(1, 30),
    at_once=st.integers(1, 5),
)
def test_all_are_replaced_and_ready_ones_never_run_short(
    capacity: int, claimed: int, min_ready: int, at_once: int
) -> None:
    """Starts and stops take one step each; the pool keeps its promise after every step."""
    claimed, min_ready = min(claimed, capacity), min(min_ready, capacity)
    old = [ready(f"s{i}") for i in range(min(min_ready, capacity - claimed))]
    at_first, fresh, room_was = len(old), 0, capacity - claimed - len(old)
    for _ in range(2 * capacity + 2):
        room = capacity - claimed - len(old) - fresh
        pool = Unclaimed(tuple(old), len(old) + fresh, 0, 0, room, min_ready)
        going, coming = pool.to_stop(at_once), pool.to_launch(at_once)
        assert len(going) <= max(at_once, len(old) + fresh - min_ready)
        assert coming <= room
        old, fresh = old[len(going) :], fresh + coming
        least = at_first if room_was > 0 else at_first - at_once
        assert len(old) + fresh >= least
    assert not old
    assert fresh == at_first


def test_drained_ones_go_first_and_then_the_oldest() -> None:
    servers = [
        ready("young", created_at=9, drained=False),
        ready("old", created_at=1, drained=False),
        ready("drained", created_at=10),
    ]
    assert [s.id for s in oldest_first(servers)] == ["drained", "old", "young"]


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (ready("a"), StopReason.DRAINED),
        (ready("a", created_at=NOW - 61, drained=False), StopReason.ROTATED),
        (ready("a", created_at=NOW - 59, drained=False), None),
        (NotebookServer("a", 0.0, Phase.CLAIMED, drained=True), None),
        (NotebookServer("a", 0.0, Phase.STARTING, drained=True), None),
    ],
)
def test_why_one_is_replaced(server: NotebookServer, reason: StopReason | None) -> None:
    assert why_replaced(server, NOW, max_age=60) is reason
