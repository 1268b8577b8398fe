"""What blocks servers from being started or handed out, reported while it lasts."""

from __future__ import annotations

from tmpnb.clock import Clock
from tmpnb.health import Health
from tmpnb.pool import Pool
from tmpnb.spawners.base import Spawner

EGRESS = "egress"  # topic of health: what servers reach is not as it must be
IMAGE = "image"  # topic of health: what servers need of their image is not there
MOMENT = 5.0  # seconds; what servers need of their image is mostly there within them


class Bars:
    """Asks the spawner, and opens and closes the problems that it names."""

    def __init__(self, spawner: Spawner, health: Health, clock: Clock) -> None:
        self._spawner, self._health, self._clock = spawner, health, clock
        self._unready_since: float | None = None  # Unix time in seconds

    @property
    def waiting(self) -> bool:
        """Whether no server could be started when that was last asked."""
        return self._unready_since is not None

    def barred(self) -> bool:
        """Return whether no server may be started or given out now."""
        reason = self._spawner.barred()
        self._health.state(EGRESS, reason)
        return bool(reason)

    def unready(self, image: str) -> bool:
        """Return whether no server of an image can be started now; told if it lasts."""
        reason, now = self._spawner.unready(image), self._clock()
        if not reason:
            self._unready_since = None
            self._health.solved(IMAGE)
            return False
        if self._unready_since is None:
            self._unready_since = now
        if now - self._unready_since >= MOMENT:
            self._health.report(IMAGE, reason)
        return True

    def readiness(self, pool: Pool, *, adopted: bool) -> dict[str, bool]:
        """Return what a visitor needs, and whether it is there.

        Args:
            pool: That servers are taken from.
            adopted: Whether the servers of a previous orchestrator are known by now.
        """
        problems, stats = self._health.problems, pool.stats()
        can_start = (
            (pool.has_room() or stats.starting > 0) and "start" not in problems and not self.waiting
        )
        may_give = EGRESS not in problems
        return {
            "engine": adopted and "engine" not in problems,
            "proxy": adopted and "proxy" not in problems,
            "servers": may_give and (stats.available > 0 or can_start),
        }
