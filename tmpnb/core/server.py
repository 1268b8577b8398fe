"""The life of one notebook server: its phases, and the moves allowed between them.

Pure: no I/O, no clock, no event loop. Everything else may import this module.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from tmpnb.errors import IllegalMoveError


class Phase(enum.StrEnum):
    """Where a server is in its life. See docs/architecture.md for the diagram."""

    STARTING = "starting"  # asked of the engine; does not answer HTTP yet
    READY = "ready"  # answers HTTP, has no route, waits to be claimed
    CLAIMED = "claimed"  # given to one visitor, has a route; never given again
    STOPPING = "stopping"  # being removed; no way back
    GONE = "gone"  # no instance and no route


class StopReason(enum.StrEnum):
    """Why a server left the pool. Used in logs and as a metric label."""

    START_FAILED = "start_failed"
    EXITED = "exited"
    IDLE = "idle"
    TOO_OLD = "too_old"
    BURNING = "burning"  # at full speed for longer than --cull-burning, with nobody there
    SURPLUS = "surplus"
    UNROUTABLE = "unroutable"
    UNKNOWN = "unknown"  # carries our labels, but this process never started it
    DRAINED = "drained"
    ROTATED = "rotated"  # waited unclaimed for longer than --ready-max-age
    ABANDONED = "abandoned"  # its visitor had left before it was handed over
    CLOSED = "closed"  # its visitor said so
    STOPPED = "stopped"  # the operator said so
    SHUTDOWN = "shutdown"


MOVES: Mapping[Phase, frozenset[Phase]] = {
    Phase.STARTING: frozenset({Phase.READY, Phase.STOPPING}),
    Phase.READY: frozenset({Phase.CLAIMED, Phase.STOPPING}),
    Phase.CLAIMED: frozenset({Phase.STOPPING}),
    Phase.STOPPING: frozenset({Phase.GONE}),
    Phase.GONE: frozenset(),
}


@dataclass(slots=True)
class NotebookServer:
    """One notebook server, as this process knows it.

    Attributes:
        id: Random, URL-safe and secret until claimed; also the last path part.
        since: When it entered this phase, Unix time in seconds.
        phase: Changed only by `move`.
        reason: Why it stops; None until it does.
        created_at: When its start was asked for, Unix time in seconds.
        claimed_at: When a visitor got it, Unix time in seconds; None before.
        kept_at: When its visitor last asked to keep it, Unix time in seconds; None: never.
        address: Where the engine serves it, `http://host:port`; None until known.
        image: What it was started from; empty where engines have no images, or unknown.
        drained: To be replaced as soon as others are ready, unless a visitor gets it.
        client: From where its visitor came last; None if that is not known. Kept nowhere else.
    """

    id: str
    since: float
    phase: Phase = Phase.STARTING
    reason: StopReason | None = None
    created_at: float = 0.0
    claimed_at: float | None = None
    kept_at: float | None = None
    address: str | None = None
    image: str = ""
    drained: bool = False
    client: IPv4Address | IPv6Address | None = None

    @property
    def base_url(self) -> str:
        """The path under which it serves everything, with both slashes."""
        return base_url(self.id)

    def move(self, to: Phase, now: float, reason: StopReason | None = None) -> None:
        """Move to phase `to` at `now`, Unix time in seconds.

        Raises:
            IllegalMoveError: If the move is not in `MOVES`. This is a bug in the
                caller, never a fault of the engine.
        """
        if to not in MOVES[self.phase]:
            raise IllegalMoveError(self.id, self.phase, to)
        self.phase, self.since = to, now
        self.reason = reason or self.reason
        if to is Phase.CLAIMED:
            self.claimed_at = now
        if to is Phase.GONE:
            self.client = None  # whoever still holds on to a server of the past


def base_url(server_id: str) -> str:
    """Return the path a server of this id serves, with both slashes."""
    return f"/user/{server_id}/"
