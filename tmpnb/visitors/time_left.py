"""How long a claimed server has left: its age and its idleness, for the visitor who has it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tmpnb.core.endings import Farewell, farewell
from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.orchestrator.culling.usage import Usage
from tmpnb.system.clock import Clock


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Unix times in seconds, by the system's clock.

    Attributes:
        now: When this was found out.
        claimed_at: When the visitor got the server.
        expires_at: When it ends, whatever it does.
        idle_at: When it ends unless somebody uses it; None if the server does not say.
        answers: Whether the server answers.
    """

    now: float
    claimed_at: float
    expires_at: float
    idle_at: float | None
    answers: bool = True

    def as_dict(self) -> dict[str, float | bool | None]:
        """Return the fields by name, for JSON."""
        return asdict(self)


class Lifetimes:
    """Tells visitors how long they have."""

    def __init__(
        self, *, pool: Pool, usage: Usage, clock: Clock, max_idle: float, max_age: float
    ) -> None:
        """Keep the limits.

        Args:
            pool: The servers there are, and how those of the past ended.
            usage: Asks servers.
            clock: Unix time in seconds.
            max_idle: Seconds without use after which a server ends.
            max_age: Seconds after its claim when it ends anyway.
        """
        self._pool, self._usage, self._clock = pool, usage, clock
        self._max_idle, self._max_age = max_idle, max_age

    def expires_at(self, server: NotebookServer) -> float:
        """Return when a claimed server ends whatever it does, Unix time in seconds."""
        claimed_at = server.since if server.claimed_at is None else server.claimed_at
        return self._clock.to_system(claimed_at + self._max_age)

    def farewell(self, server_id: str) -> Farewell:
        """Return what a visitor is told of a server that they have not any more."""
        server = self._pool.servers.get(server_id)
        return farewell(
            self._pool.endings.of(server_id),
            stopping=server is not None and server.phase is Phase.STOPPING,
            max_idle=self._max_idle,
            max_age=self._max_age,
            to_system=self._clock.to_system,
        )

    async def of(self, server: NotebookServer) -> Lifetime:
        """Return how long a claimed server has left."""
        claimed_at = server.since if server.claimed_at is None else server.claimed_at
        known = await self._usage.of(server)
        used = known.last_use
        expires_at, idle_at = self.expires_at(server), None
        if used is not None:
            idle_at = max(claimed_at, server.kept_at or 0.0, used) + self._max_idle
            idle_at = min(self._clock.to_system(idle_at), expires_at)
        return Lifetime(
            now=self._clock.to_system(self._clock()),
            claimed_at=self._clock.to_system(claimed_at),
            expires_at=expires_at,
            idle_at=idle_at,
            answers=known.answered,
        )
