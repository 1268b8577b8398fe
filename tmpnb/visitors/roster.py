"""Who is here: every server with who has it and what it uses, for the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass

from tmpnb.access.client_address import shown
from tmpnb.core.observation import Used
from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import SpawnerError
from tmpnb.orchestrator.culling.usage import Usage
from tmpnb.spawners.base import Spawner
from tmpnb.system.clock import Clock
from tmpnb.system.net.networks import Address, Network, Networks
from tmpnb.visitors.time_left import Lifetimes

PATIENCE = 8.0  # seconds for all that engine and servers are asked; the rest is not known
ORDER = (Phase.CLAIMED, Phase.READY, Phase.STARTING, Phase.STOPPING, Phase.GONE)


@dataclass(frozen=True, slots=True)
class Row:
    """One server. Times in Unix seconds by the system's clock; None: not known, or not yet.

    Attributes:
        id: Of the server.
        phase: Where it is in its life.
        age: Seconds since it was asked for.
        created_at: When that was.
        claimed_at: When a visitor got it.
        last_use: When its visitor used it last, as far as it was asked.
        expires_at: When it ends, whatever it does.
        client: From where its visitor came last: an address, or its network with --anonymize.
        image: What it was started from.
        cpu_seconds: Of processors, since its start; only on request.
        memory: Bytes in use; only on request.
    """

    id: str
    phase: str
    age: float
    created_at: float
    claimed_at: float | None
    last_use: float | None
    expires_at: float | None
    client: str | None
    image: str | None
    cpu_seconds: float | None = None
    memory: int | None = None

    def as_dict(self) -> dict[str, str | float | None]:
        """Return the fields by name, for JSON."""
        return asdict(self)


class Roster:
    """Tells the operator of the servers, and stops those of a network."""

    def __init__(
        self, *, pool: Pool, spawner: Spawner, usage: Usage, lifetimes: Lifetimes, clock: Clock
    ) -> None:
        self._pool, self._spawner = pool, spawner
        self._usage, self._lifetimes, self._clock = usage, lifetimes, clock
        self._asking: asyncio.Task[Mapping[str, Used]] | None = None

    @property
    def now(self) -> float:
        """Unix time in seconds, by the system's clock."""
        return self._clock.to_system(self._clock())

    def rows(self, *, anonymize: bool, used: Mapping[str, Used] | None = None) -> list[Row]:
        """Return all servers, those that visitors have first, the latest of them on top.

        Args:
            anonymize: Whether clients are told by their networks alone.
            used: What servers use, as `used` returns it.
        """
        servers = sorted(
            self._pool.servers.values(), key=lambda s: (ORDER.index(s.phase), -s.since)
        )
        return [self._row(s, (used or {}).get(s.id), anonymize=anonymize) for s in servers]

    async def used(self) -> Mapping[str, Used]:
        """Ask the engine what the servers that visitors have use, and each when it was used.

        All who ask at a time share the answer. Who does not answer in time is not known.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    def of_network(self, network: Network) -> list[NotebookServer]:
        """Return the servers whose visitors came from a network last."""
        there = Networks([network])
        claimed = (s for s in self._pool.servers.values() if s.phase is Phase.CLAIMED)
        return [s for s in claimed if _in(s.client, there)]

    async def _ask(self) -> Mapping[str, Used]:
        servers = [s for s in self._pool.servers.values() if s.phase is Phase.CLAIMED]
        if not servers:
            return {}
        engine = asyncio.create_task(self._ask_engine([s.id for s in servers]))
        looks = {asyncio.create_task(self._look(s)) for s in servers}
        _, late = await asyncio.wait({engine, *looks}, timeout=PATIENCE)
        for task in late:
            task.cancel()
        return {} if engine in late else engine.result()

    async def _ask_engine(self, server_ids: Collection[str]) -> Mapping[str, Used]:
        try:
            return await self._spawner.used(server_ids)
        except SpawnerError:
            return {}

    async def _look(self, server: NotebookServer) -> None:
        await self._usage.of(server)

    def _row(self, server: NotebookServer, used: Used | None, *, anonymize: bool) -> Row:
        to_system, claimed_at = self._clock.to_system, server.claimed_at
        begun = min(_times(server.created_at, claimed_at, server.since))
        last_use = self._usage.last_use(server.id)
        if last_use is not None and claimed_at is not None:
            last_use = max(last_use, claimed_at)  # before, it made itself ready
        is_claimed = server.phase is Phase.CLAIMED
        return Row(
            id=server.id,
            phase=str(server.phase),
            age=round(max(0.0, self._clock() - begun), 1),
            created_at=to_system(begun),
            claimed_at=None if claimed_at is None else to_system(claimed_at),
            last_use=None if last_use is None else to_system(last_use),
            expires_at=self._lifetimes.expires_at(server) if is_claimed else None,
            client=shown(server.client, anonymize=anonymize) or None,
            image=server.image or None,
            cpu_seconds=None if used is None else round(used.cpu_seconds, 1),
            memory=None if used is None else used.memory,
        )


def _times(*moments: float | None) -> Iterable[float]:
    """Yield those that are known: one that was adopted may lack the time of its start."""
    return (moment for moment in moments if moment)


def _in(client: Address | None, there: Networks) -> bool:
    return client is not None and client in there
