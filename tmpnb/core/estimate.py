"""How long somebody in line will wait, from the starts under way and the pace of late. Pure."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

LATE = 0.25  # of its age, that a start which takes longer than usual is taken to need yet
STEPS = ((20, 5), (60, 10), (600, 30), (math.inf, 60))  # seconds: below so many, in such steps


@dataclass(frozen=True, slots=True)
class Coming:
    """The starts under way, as far as the line will have their servers.

    Attributes:
        ages: Of those that the engine works on, in seconds.
        queued: How many wait until the engine has time for them.
        usual: Seconds that a start takes.
        slots: How many starts there are at once.
    """

    ages: tuple[float, ...] = ()
    queued: int = 0
    usual: float = 10.0
    slots: int = 1


def until_served(
    position: int, ready: int, coming: Coming, pace: float | None = None
) -> float | None:
    """Return the seconds until a place in line has its server; None if nobody can tell.

    Never negative, never less for those further behind. It falls as time goes by, and while a
    start is late it grows by a quarter of that time and no faster.

    Args:
        position: 1 for who is next.
        ready: Servers that are ready, and kept for the first in line.
        coming: The starts under way.
        pace: Seconds between two who were served of late; None: there were none.
    """
    if position <= ready:
        return 0.0
    ends = _ends(coming)
    before = position - ready
    if before <= len(ends):
        return ends[before - 1]
    if pace is None:
        return None
    return max([*ends[-1:], position * max(pace, 0.0)])


def coarse(seconds: float | None) -> int | None:
    """Return an estimate in steps that one can believe: 5, 10, 30 or 60 seconds; rounded up."""
    if seconds is None:
        return None
    step = next(step for below, step in STEPS if seconds < below or below == math.inf)
    return max(1, math.ceil(seconds / step)) * step


def words(seconds: float | None) -> str:
    """Return how long it takes, as a sentence; empty if nobody can tell."""
    if seconds is None:
        return ""
    minutes = max(1, round(seconds / 60))
    if seconds < 10:
        about = "a few seconds"
    elif seconds < 60:
        about = f"about {round(seconds)} seconds"
    else:
        about = "about a minute" if minutes == 1 else f"about {minutes} minutes"
    return f"That takes {about}."


def _ends(coming: Coming) -> list[float]:
    """Return in how many seconds each start will have ended, the first first."""
    running = sorted(_left(max(age, 0.0), coming.usual) for age in coming.ages)
    free = [0.0] * max(coming.slots - len(running), 0)
    slots = free + running
    heapq.heapify(slots)
    ends = running
    for _ in range(coming.queued if slots else 0):
        end = heapq.heappop(slots) + coming.usual
        heapq.heappush(slots, end)
        ends.append(end)
    return sorted(ends)


def _left(age: float, usual: float) -> float:
    return max(usual - age, age * LATE)
