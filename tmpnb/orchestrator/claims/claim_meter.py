"""Measure claims: how long they take, how long visitors wait in line, and why they get none."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tmpnb.core.counts import Durations, Tally
from tmpnb.core.refusals import Refusal
from tmpnb.errors import LineFullError, ProxyError, SpawnerError
from tmpnb.orchestrator.claims.line import Ticket
from tmpnb.orchestrator.meters import BOUNDS

WAIT_BOUNDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)  # seconds


class Given(enum.StrEnum):
    """Which server a claim gives. A label of metrics."""

    READY = "ready"  # one that was started before
    NEW = "new"  # one that is started for this visitor, at an address of the past


class ClaimMeter:
    """What is noted of the claims of one service."""

    def __init__(self, clock: Callable[[], float], refusals: Tally[Refusal]) -> None:
        """Begin with nothing.

        Args:
            clock: Unix time in seconds, the same as that of the line.
            refusals: Where the pool counts its own.
        """
        self.durations = {given: Durations(BOUNDS) for given in Given}  # asked to handed over
        self.waits = Durations(WAIT_BOUNDS)  # from joining the line to the turn that gave one
        self._clock, self._refusals = clock, refusals

    @contextmanager
    def claim(self, given: Given, ticket: Ticket | None = None) -> Iterator[None]:
        """Note how long a claim takes that gives a server, or why it gives none.

        Args:
            given: Which one it gives.
            ticket: Of one who has waited in line for it.
        """
        begun = self._clock()
        with self.refusal():
            yield
        self.durations[given].note(self._clock() - begun)
        if ticket is not None:
            self.waits.note(begun - ticket.joined_at)

    @contextmanager
    def refusal(self) -> Iterator[None]:
        """Count a refusal that the pool does not count itself."""
        try:
            yield
        except LineFullError:
            self._refusals.count(Refusal.LINE_FULL)
            raise
        except ProxyError:
            self._refusals.count(Refusal.PROXY)
            raise
        except SpawnerError:
            self._refusals.count(Refusal.ENGINE)
            raise
