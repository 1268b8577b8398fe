"""How long a claimed server has left: its age and its idleness, for the visitor who has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from tmpnb import activity
from tmpnb.clock import Clock
from tmpnb.endings import Ending, Farewell, farewell
from tmpnb.http import Client
from tmpnb.server import NotebookServer
from tmpnb.tokens import TokenMaker

FRESH = 20.0  # seconds for which what a server said of its use is good enough


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Unix times in seconds, by the system's clock.

    Attributes:
        now: When this was found out.
        claimed_at: When the visitor got the server.
        expires_at: When it ends, whatever it does.
        idle_at: When it ends unless somebody uses it; None if the server does not say.
    """

    now: float
    claimed_at: float
    expires_at: float
    idle_at: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return the fields by name, for JSON."""
        return asdict(self)


class Lifetimes:
    """Tells visitors how long they have."""

    def __init__(
        self,
        *,
        client: Client,
        tokens: TokenMaker,
        clock: Clock,
        max_idle: float,
        max_age: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the limits.

        Args:
            client: Asks servers.
            tokens: Opens them.
            clock: Unix time in seconds.
            max_idle: Seconds without use after which a server ends.
            max_age: Seconds after its claim when it ends anyway.
            monotonic: Seconds, for how long an answer is good.
        """
        self._client, self._tokens, self._clock = client, tokens, clock
        self._max_idle, self._max_age, self._monotonic = max_idle, max_age, monotonic
        self._used: dict[str, tuple[float, float | None]] = {}  # id -> when asked, last use

    def forget(self, server_id: str) -> None:
        """Ask the server itself the next time."""
        self._used.pop(server_id, None)

    def expires_at(self, server: NotebookServer) -> float:
        """Return when a claimed server ends whatever it does, Unix time in seconds."""
        claimed_at = server.since if server.claimed_at is None else server.claimed_at
        return self._clock.to_system(claimed_at + self._max_age)

    def farewell(self, ending: Ending | None, *, stopping: bool) -> Farewell:
        """Return what is told of a server that has ended, or is being stopped."""
        return farewell(
            ending,
            stopping=stopping,
            max_idle=self._max_idle,
            max_age=self._max_age,
            to_system=self._clock.to_system,
        )

    async def of(self, server: NotebookServer) -> Lifetime:
        """Return how long a claimed server has left."""
        claimed_at = server.since if server.claimed_at is None else server.claimed_at
        used = await self._last_use(server)
        expires_at, idle_at = self.expires_at(server), None
        if used is not None:
            idle_at = max(claimed_at, server.kept_at or 0.0, used) + self._max_idle
            idle_at = min(self._clock.to_system(idle_at), expires_at)
        return Lifetime(
            now=self._clock.to_system(self._clock()),
            claimed_at=self._clock.to_system(claimed_at),
            expires_at=expires_at,
            idle_at=idle_at,
        )

    async def _last_use(self, server: NotebookServer) -> float | None:
        now = self._monotonic()
        self._used = {i: v for i, v in self._used.items() if now - v[0] < FRESH}
        if server.id not in self._used:
            used = await activity.last_activity(
                self._client,
                f"{server.address}{server.base_url}",
                self._tokens.token_for(server.id),
                now=self._clock.to_system(self._clock()),
                max_idle=self._max_idle,
            )
            steady = None if used is None else self._clock.from_system(used)
            self._used[server.id] = (now, steady)
        return self._used[server.id][1]
