"""Tell servers that compute at full speed while nobody is there. Pure.

Whether somebody is there is what the proxy says: an open page, at work or forgotten, is
traffic at least every half minute. So a server without any has no page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tmpnb.core.observation import Observation
from tmpnb.core.server import NotebookServer, Phase

ALONE = 60.0  # seconds without traffic after which nobody is there
SHORTEST = 120.0  # seconds that an operator may ask for; open pages must be far below
FULL = 0.9  # of what a server may use of one CPU, at least that
APART = 5.0  # seconds between two readings, at least; less is noise


@dataclass(frozen=True, slots=True)
class Reading:
    """The CPU time that servers had used at some moment.

    Attributes:
        asked_at: Just before it was asked for, Unix time in seconds.
        told_at: Just after, Unix time in seconds.
        used: CPU seconds since its start, by server id; who is missing is not known.
    """

    asked_at: float
    told_at: float
    used: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Streak:
    """A server's time at full speed without interruption."""

    since: float  # Unix time in seconds
    asked_at: float  # of the latest reading, Unix time in seconds
    used: float  # CPU seconds, by the latest reading


class Burners:
    """Who has been at full speed, alone, and for how long. Synchronous."""

    def __init__(self) -> None:
        """Know nobody."""
        self._streaks: dict[str, _Streak] = {}

    def note(
        self, reading: Reading, alone_since: Mapping[str, float], *, most: float, full: float
    ) -> frozenset[str]:
        """Take in a reading; return the servers that have burned for longer than allowed.

        Who is not in the reading is not judged by it, and neither gains nor loses.

        Args:
            reading: Of the servers that are alone.
            alone_since: The last traffic of each, Unix time in seconds by server id.
            most: Seconds for which a server may burn.
            full: CPU seconds a second that are all a server can use, 1 at most.
        """
        self._streaks = {i: s for i, s in self._streaks.items() if i in alone_since}
        burning = set()
        for server_id, used in reading.used.items():
            if server_id not in alone_since:
                continue
            begun = _Streak(reading.asked_at, reading.asked_at, used)
            streak = self._streaks.get(server_id, begun)
            if reading.told_at - streak.asked_at >= APART:
                at_full = _at_full_speed(streak, reading.told_at, used, full)
                streak = replace(streak, asked_at=reading.asked_at, used=used) if at_full else begun
            if streak.since < alone_since[server_id]:
                streak = begun  # somebody came by
            self._streaks[server_id] = streak
            if streak.asked_at - streak.since > most:
                burning.add(server_id)
        return frozenset(burning)


def _at_full_speed(streak: _Streak, now: float, used: float, full: float) -> bool:
    """Whether it was since its latest reading, also if the two took long."""
    return used - streak.used >= FULL * min(full, 1.0) * (now - streak.asked_at)


def alone_since(seen: Observation, servers: Iterable[NotebookServer]) -> dict[str, float]:
    """Return the servers at which nobody is, and since when, Unix time in seconds by id.

    Those are claimed and run, and have a route without traffic. Without a route nothing
    says that nobody is there.
    """
    found = {}
    for server in servers:
        instance, route = seen.instances.get(server.id), seen.routes.get(server.id)
        if server.phase is not Phase.CLAIMED or route is None:
            continue
        if instance is None or not instance.running:
            continue
        claimed_at = server.since if server.claimed_at is None else server.claimed_at
        last = max(claimed_at, server.kept_at or 0.0, route.last_activity)
        if seen.taken_at - last > ALONE:
            found[server.id] = last
    return found
