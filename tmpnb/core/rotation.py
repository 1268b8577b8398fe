"""Replace unclaimed servers a few at a time, without running short of ready ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tmpnb.core.server import NotebookServer, Phase, StopReason


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """The unclaimed servers, and what there is around them.

    Attributes:
        old: Ready ones to be replaced: drained ones first, then by age.
        ready: How many are ready, old ones included.
        starting: How many are being started.
        stopping: How many are being removed.
        room: How many more servers there may be.
        wanted: How many unclaimed ones to keep (`min_ready`).
    """

    old: tuple[NotebookServer, ...]
    ready: int
    starting: int
    stopping: int
    room: int
    wanted: int

    def to_stop(self, at_once: int) -> tuple[NotebookServer, ...]:
        """Return the old servers that may go now.

        Those go that others have replaced already. Without room for a new one beside
        an old one, as many go first as may be in exchange at once.
        """
        spare = self.ready - self.wanted
        if spare > 0:
            return self.old[:spare]
        exchange = at_once - self.starting - self.stopping if self.room <= 0 else 0
        return self.old[: max(0, exchange)]

    def to_launch(self, at_once: int) -> int:
        """Return how many to start: what is wanted and not there, and replacements."""
        unclaimed = self.ready + self.starting
        missing = self.wanted - unclaimed
        unreplaced = self.wanted - (unclaimed - len(self.old))
        replacements = min(unreplaced, at_once - self.starting) if self.old else 0
        return max(0, min(self.room, max(missing, replacements)))


def why_replaced(server: NotebookServer, now: float, max_age: float) -> StopReason | None:
    """Return why a ready server is to be replaced; None if it is not.

    Args:
        server: It; only a ready one is ever replaced.
        now: Unix time in seconds.
        max_age: Seconds from its start after which it is too old to be handed out.
    """
    if server.phase is not Phase.READY:
        return None
    if server.drained:
        return StopReason.DRAINED
    return StopReason.ROTATED if now - server.created_at > max_age else None


def oldest_first(servers: Iterable[NotebookServer]) -> tuple[NotebookServer, ...]:
    """Return servers in the order in which they are to be replaced."""
    return tuple(sorted(servers, key=lambda s: (not s.drained, s.created_at)))
