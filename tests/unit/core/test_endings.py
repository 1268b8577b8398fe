"""Why a server ended: kept for the latest ones, and said in plain words."""

from __future__ import annotations

import pytest

from tmpnb.core.endings import Ending, Endings, Farewell, farewell
from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.system.units import Moment, duration

NOON = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC


def told(ending: Ending | None, *, stopping: bool = False) -> Farewell:
    return farewell(
        ending, stopping=stopping, max_idle=3600, max_age=14400, to_system=lambda at: at + 60
    )


def pool_with(phase: Phase) -> tuple[Pool, NotebookServer]:
    pool, server = Pool(1, lambda: NOON), NotebookServer("a", NOON)
    pool.add(server)
    if phase is not Phase.STARTING:
        pool.move(server, Phase.READY)
    if phase is Phase.CLAIMED:
        pool.move(server, Phase.CLAIMED)
    return pool, server


def test_the_end_of_a_server_somebody_had_is_kept() -> None:
    pool, server = pool_with(Phase.CLAIMED)
    pool.move(server, Phase.STOPPING, StopReason.IDLE)
    pool.move(server, Phase.GONE)
    assert pool.endings.of("a") == Ending(StopReason.IDLE, NOON)


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.READY])
def test_the_end_of_one_that_nobody_had_is_not(phase: Phase) -> None:
    pool, server = pool_with(phase)
    pool.move(server, Phase.STOPPING, StopReason.SHUTDOWN)
    assert pool.endings.of("a") is None


def test_one_of_unknown_history_may_have_been_somebodys() -> None:
    pool, server = pool_with(Phase.STARTING)
    pool.move(server, Phase.STOPPING, StopReason.UNKNOWN)
    assert pool.endings.of("a") == Ending(StopReason.UNKNOWN, NOON)


def test_only_the_latest_are_kept() -> None:
    endings = Endings(most=2)
    for name in "abac":
        endings.note(name, Ending(StopReason.IDLE, 0.0))
    assert [name for name in "abc" if endings.of(name)] == ["a", "c"]
    assert len(endings) == 2


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (StopReason.IDLE, "Nobody had used it for 60 minutes"),
        (StopReason.TOO_OLD, "time limit for notebooks here, 4 hours"),
        (StopReason.BURNING, "kept a processor busy for a long time with nobody there"),
        (StopReason.STOPPED, "stopped by those who run the service"),
        (StopReason.CLOSED, "Its user stopped it"),
        (StopReason.EXITED, "crashed, ran out of memory"),
        (StopReason.UNROUTABLE, "could not connect you to it"),
        (StopReason.UNKNOWN, "lost track of it"),
        (StopReason.ABANDONED, "Nobody was there"),
        (StopReason.SHUTDOWN, "shut down by those who run it"),
    ],
)
def test_every_reason_has_its_words(reason: StopReason, words: str) -> None:
    said = told(Ending(reason, NOON))
    assert words in said.message
    assert said.message.startswith("This notebook server has ended at 2026-09-21 14:14 UTC. ")
    assert said.message.endswith(" Its files are gone.")
    error = {"code": "server_ended", "message": said.message}
    error |= {"reason": str(reason), "ended_at": NOON + 60}
    assert said.as_error() == {"error": error, "message": said.message}


def test_what_is_still_being_stopped_is_said_to_be() -> None:
    said = told(Ending(StopReason.IDLE, NOON), stopping=True)
    assert said.message.startswith("This notebook server is being stopped. Nobody")


def test_unknown_ones_are_told_without_a_reason() -> None:
    message = "This notebook server has ended. Its files are gone."
    error = {"code": "server_ended", "message": message}
    assert told(None, stopping=True).as_error() == {"error": error, "message": message}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "less than a minute"),
        (29, "less than a minute"),
        (60, "1 minute"),
        (5340, "89 minutes"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (72 * 3600, "3 days"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_moments_are_said_in_utc() -> None:
    assert Moment(NOON).text == "2026-09-21 14:13 UTC"
    assert Moment(NOON).iso == "2026-09-21T14:13:20+00:00"
