"""Look at engine, proxy and servers: one full observation, or none."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection, Iterable
from dataclasses import replace

from tmpnb import activity
from tmpnb.burning import Burners, Reading, alone_since
from tmpnb.clock import Clock
from tmpnb.errors import ProxyError, SpawnerError
from tmpnb.health import Health
from tmpnb.http import Client
from tmpnb.observation import Instance, Observation, Route
from tmpnb.proxy import Proxy
from tmpnb.server import NotebookServer, Phase
from tmpnb.spawners.base import Spawner
from tmpnb.tokens import TokenMaker

log = logging.getLogger(__name__)

READ_TIMEOUT = 30.0  # seconds for engine and proxy together
ASKED_AT_ONCE = 50  # servers


class Observer:
    """Reads what `reconcile` judges, and reports what cannot be read."""

    def __init__(
        self,
        *,
        spawner: Spawner,
        proxy: Proxy,
        client: Client,
        tokens: TokenMaker,
        health: Health,
        clock: Clock,
    ) -> None:
        self._spawner, self._proxy, self._client = spawner, proxy, client
        self._tokens, self._health, self._clock = tokens, health, clock
        self._down_since: dict[str, float] = {}  # by server id, Unix time in seconds
        self._slots = asyncio.Semaphore(ASKED_AT_ONCE)
        self._burners = Burners()

    async def observe(self, servers: Iterable[NotebookServer]) -> Observation:
        """Read engine and proxy in full: unknown is not empty.

        Args:
            servers: Those of the pool, to note which of them the engine has launched by now.

        Raises:
            SpawnerError: The engine could not be read.
            ProxyError: The proxy could not be read.
        """
        taken_at = self._clock()
        launched = frozenset(s.id for s in servers if s.phase is Phase.STARTING and s.address)
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                instances, routes = await asyncio.gather(self._instances(), self._routes())
        except TimeoutError:
            message = f"engine and proxy could not be read within {READ_TIMEOUT:.0f} s"
            self._health.report("engine", message)
            raise SpawnerError(message) from None
        down = (i.server_id for i in instances if not i.running)
        self._down_since = {i: self._down_since.get(i, taken_at) for i in down}
        return Observation(
            taken_at,
            instances={i.server_id: i for i in instances},
            routes={r.server_id: r for r in routes},
            launched=launched,
            down_since=self._down_since,
        )

    async def with_activity(
        self, seen: Observation, servers: Iterable[NotebookServer], max_idle: float
    ) -> Observation:
        """Add what the claimed servers say themselves, so that idleness can be judged.

        Only those are asked that a visitor has had for longer than `max_idle` seconds.
        """
        asked = [
            s
            for s in servers
            if s.phase is Phase.CLAIMED and seen.taken_at - s.since > max_idle and s.address
        ]

        async def ask(server: NotebookServer) -> float | None:
            async with self._slots:
                used = await activity.last_activity(
                    self._client,
                    f"{server.address}{server.base_url}",
                    self._tokens.token_for(server.id),
                    now=self._clock.to_system(seen.taken_at),
                    max_idle=max_idle,
                )
            return None if used is None else self._clock.from_system(used)

        answers = await asyncio.gather(*(ask(s) for s in asked))
        known = {s.id: t for s, t in zip(asked, answers, strict=True) if t is not None}
        return replace(seen, activity=known, culling=True)

    async def with_burning(
        self, seen: Observation, servers: Collection[NotebookServer], most: float
    ) -> Observation:
        """Add which servers have computed for longer than `most` seconds with nobody there.

        The engine is asked only about those that nobody is at, and about none if `most` is
        infinite. What cannot be read is not known, and ends nobody.
        """
        if math.isinf(most):
            return seen
        alone, full = alone_since(seen, servers), self._spawner.full_cpu()
        reading = await self._cpu(alone.keys())
        burning = self._burners.note(reading, alone, most=most, full=full)
        if burning:  # whoever came back while all were asked is not thrown out
            try:
                async with asyncio.timeout(READ_TIMEOUT):
                    routes = {route.server_id: route for route in await self._routes()}
            except (ProxyError, TimeoutError):
                routes = {}
            burning &= alone_since(replace(seen, routes=routes), servers).keys()
        return replace(seen, burning=burning)

    async def _cpu(self, server_ids: Collection[str]) -> Reading:
        asked_at, used = self._clock(), dict[str, float]()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                used = dict(await self._spawner.cpu_seconds(server_ids)) if server_ids else {}
        except (SpawnerError, TimeoutError) as error:
            log.warning("who computes could not be read: %s", str(error) or "no answer in time")
        return Reading(asked_at, self._clock(), used)

    async def _instances(self) -> list[Instance]:
        try:
            instances = await self._spawner.list()
        except SpawnerError as error:
            self._health.report("engine", str(error))
            raise
        self._health.solved("engine")
        return [self._in_our_time(instance) for instance in instances]

    async def _routes(self) -> list[Route]:
        try:
            routes = await self._proxy.list_routes()
        except ProxyError as error:
            self._health.report("proxy", str(error))
            raise
        self._health.solved("proxy")
        steady = self._clock.from_system
        return [replace(route, last_activity=steady(route.last_activity)) for route in routes]

    def _in_our_time(self, instance: Instance) -> Instance:
        claimed_at, steady = instance.claimed_at, self._clock.from_system
        return replace(
            instance,
            created_at=steady(instance.created_at),
            claimed_at=None if claimed_at is None else steady(claimed_at),
        )
