"""What keeps servers from being started or given out, told to the operator while it lasts."""

from __future__ import annotations

from dataclasses import dataclass

from tmpnb.core.pool import Pool
from tmpnb.orchestrator.shared import Shared

EGRESS = "egress"  # topic of health: what servers reach is not as it must be
IMAGE = "image"  # topic of health: what servers need of their image is not there
MOMENT = 5.0  # seconds; what servers need of their image is mostly there within them


class Bars:
    """Asks the spawner, and opens and closes the problems that it names."""

    def __init__(self, shared: Shared) -> None:
        self._spawner, self._health, self._clock = shared.spawner, shared.health, shared.clock
        self._unready_since: float | None = None  # Unix time in seconds

    @property
    def waiting(self) -> bool:
        """Whether no server could be started when that was last asked."""
        return self._unready_since is not None

    @property
    def barred(self) -> bool:
        """Whether no server may be started or given out now; asking changes nothing."""
        return bool(self._spawner.barred())

    def may_start(self, image: str) -> bool:
        """Whether a server of an image can be started now; asking changes nothing."""
        return not self.barred and not self._spawner.unready(image)

    def look(self, image: str) -> None:
        """Ask, and tell the operator: once in each pass.

        Args:
            image: That servers are started from; what it lacks is told of if it lasts.
        """
        self._health.state(EGRESS, self._spawner.barred())
        reason, now = self._spawner.unready(image), self._clock()
        if not reason:
            self._unready_since = None
            self._health.solved(IMAGE)
            return
        if self._unready_since is None:
            self._unready_since = now
        if now - self._unready_since >= MOMENT:
            self._health.report(IMAGE, reason)

    def readiness(self, pool: Pool, *, adopted: bool) -> dict[str, bool]:
        """Return what a visitor needs, and whether it is there.

        Args:
            pool: That servers are taken from.
            adopted: Whether the servers of a former orchestrator are known by now.
        """
        problems, stats = self._health.problems, pool.stats()
        can_start = (
            (pool.has_room() or stats.starting > 0) and "start" not in problems and not self.waiting
        )
        return {
            "engine": adopted and "engine" not in problems,
            "proxy": adopted and "proxy" not in problems,
            "servers": not self.barred and (stats.available > 0 or can_start),
        }


@dataclass(slots=True)
class Stage:
    """Changed by the loop alone; asked by everybody.

    Attributes:
        adopted: Whether it is known which servers a former orchestrator gave out.
        closing: Whether the end has begun.
    """

    bars: Bars
    adopted: bool = False
    closing: bool = False

    @property
    def serves(self) -> bool:
        """Whether visitors get servers now; asking changes nothing."""
        return self.adopted and not self.closing and not self.bars.barred
