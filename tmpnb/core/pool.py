"""The servers of one orchestrator. Synchronous: no await can slip between check and change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from typing import NoReturn

from tmpnb.core.counts import Durations, Tally
from tmpnb.core.endings import Ending, Endings
from tmpnb.core.refusals import NO_SERVER, Refusal
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import PoolEmptyError, ServerExistsError

log = logging.getLogger(__name__)

START_BOUNDS = (0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)  # seconds


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A snapshot that adds up: the phases together never exceed `capacity` for long.

    Attributes:
        capacity: Servers there may be, in all phases.
        available: Ready to be claimed.
        starting: Asked of the engine, not ready yet.
        claimed: With a visitor.
        stopping: Being removed.
        claims_total: Servers handed to visitors since this process started.
        claims_refused_total: Times a visitor was told there is none.
    """

    capacity: int
    available: int
    starting: int
    claimed: int
    stopping: int
    claims_total: int
    claims_refused_total: int

    def as_dict(self) -> dict[str, int]:
        """Return the fields by name, for JSON and templates."""
        return asdict(self)


class Pool:
    """Holds servers and hands each ready one out once."""

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        self.capacity = capacity
        self.servers: dict[str, NotebookServer] = {}
        self.endings = Endings()  # of servers that a visitor had
        self.starts = Durations(START_BOUNDS)  # from the asking of the engine to ready
        self.ends = Tally(product(StopReason, (True, False)))  # and whether a visitor had it
        self.refusals = Tally(Refusal)  # of visitors, since this process started
        self._clock = clock  # Unix time in seconds
        self._gone: dict[str, float] = {}  # when, of those that left since the last look
        self._claims = 0

    def add(self, server: NotebookServer) -> None:
        """Take in a new or adopted server.

        Raises:
            ServerExistsError: Its id is in the pool.
        """
        if server.id in self.servers:
            raise ServerExistsError(f"a server {server.id} exists")
        self.servers[server.id] = server

    def move(self, server: NotebookServer, to: Phase, reason: StopReason | None = None) -> None:
        """Move a server on and say so in the log; a server that is gone leaves the pool.

        Raises:
            IllegalMoveError: The lifecycle has no such move.
        """
        was, since = server.phase, server.since
        server.move(to, self._clock(), reason)
        # A former orchestrator may have given it out; what we know ourselves says more.
        lost = server.reason is StopReason.UNKNOWN and self.endings.of(server.id) is None
        if to is Phase.STOPPING and server.reason and (was is Phase.CLAIMED or lost):
            self.endings.note(server.id, Ending(server.reason, server.since))
        if to is Phase.READY:
            self.starts.note(server.since - since)
        if to is Phase.STOPPING and server.reason:
            self.ends.count((server.reason, was is Phase.CLAIMED))
        log.info("server move id=%s from=%s to=%s reason=%s", server.id, was, to, server.reason)
        if to is Phase.GONE:
            del self.servers[server.id]
            self._gone[server.id] = server.since

    def gone_since(self, moment: float) -> frozenset[str]:
        """Return the ids of those that left at `moment` or later, and forget those before.

        Args:
            moment: Unix time in seconds, never before that of the last call.
        """
        self._gone = {i: since for i, since in self._gone.items() if since >= moment}
        return frozenset(self._gone)

    def claim(self) -> NotebookServer:
        """Give out the oldest ready server, undrained if there is one; it is never given again.

        Raises:
            PoolEmptyError: None is ready.
        """
        server = self.oldest_ready()
        if server is None:
            self.refuse()
        self.move(server, Phase.CLAIMED)
        self._claims += 1
        return server

    def claim_this(self, server: NotebookServer) -> None:
        """Give out one server that was started for one visitor."""
        self.move(server, Phase.READY)
        self.move(server, Phase.CLAIMED)
        self._claims += 1

    def refuse(self, why: Refusal = Refusal.POOL_EMPTY) -> NoReturn:
        """Count a visitor that had to be turned away.

        Raises:
            PoolEmptyError: Always.
        """
        self.refusals.count(why)
        raise PoolEmptyError("no notebook is ready")

    def oldest_ready(self) -> NotebookServer | None:
        """Return the server that has been ready longest, if any is; drained ones come last."""
        return min(self._in(Phase.READY), key=lambda s: (s.drained, s.since), default=None)

    @property
    def ready(self) -> int:
        """How many are ready to be claimed."""
        return len(self._in(Phase.READY))

    def has_room(self) -> bool:
        """Whether one more server may be started."""
        return len(self.servers) < self.capacity

    def stats(self) -> PoolStats:
        """Count the servers by phase."""
        return PoolStats(
            capacity=self.capacity,
            available=len(self._in(Phase.READY)),
            starting=len(self._in(Phase.STARTING)),
            claimed=len(self._in(Phase.CLAIMED)),
            stopping=len(self._in(Phase.STOPPING)),
            claims_total=self._claims,
            claims_refused_total=self.refusals.total(NO_SERVER),
        )

    def _in(self, phase: Phase) -> list[NotebookServer]:
        return [s for s in self.servers.values() if s.phase is phase]
