"""Look at engine, proxy and servers: one full observation, or none."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection, Iterable
from dataclasses import replace

from tmpnb.core.burning import Burners, Reading, alone_since
from tmpnb.core.observation import Instance, Observation, Route
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import ProxyError, SpawnerError
from tmpnb.orchestrator.shared import Shared

log = logging.getLogger(__name__)

READ_TIMEOUT = 30.0  # seconds for engine and proxy together
CPU_TIMEOUT = 15.0  # seconds to find out who computes


class Observer:
    """Reads what `reconcile` judges, and reports what cannot be read."""

    def __init__(self, shared: Shared) -> None:
        self._spawner, self._proxy = shared.spawner, shared.proxy
        self._health, self._clock = shared.health, shared.clock
        self._down_since: dict[str, float] = {}  # by server id, Unix time in seconds
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
        deadline = asyncio.get_running_loop().time() + CPU_TIMEOUT
        reading = await self._cpu(alone.keys(), deadline)
        burning = self._burners.note(reading, alone, most=most, full=full)
        if burning:  # whoever came back while all were asked is not thrown out
            try:
                async with asyncio.timeout_at(deadline):
                    routes = {route.server_id: route for route in await self._routes()}
            except (ProxyError, TimeoutError):
                routes = {}
            burning &= alone_since(replace(seen, routes=routes), servers).keys()
        return replace(seen, burning=burning)

    async def _cpu(self, server_ids: Collection[str], deadline: float) -> Reading:
        asked_at, used = self._clock(), dict[str, float]()
        try:
            async with asyncio.timeout_at(deadline):
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
