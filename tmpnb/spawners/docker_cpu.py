"""How much CPU time containers have used, as the engine tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tmpnb.errors import SpawnerError
from tmpnb.spawners.docker_options import Options

if TYPE_CHECKING:
    from tmpnb.spawners.docker_containers import Containers

ASKED_AT_ONCE = 2  # containers, so that listings and claims never wait behind these questions
PERIOD = 100_000  # microseconds, of a quota that says no other
NANO = 1e9


class Driver(Protocol):
    """What the readings need of the spawner."""

    def _options(self) -> Options: ...
    def _ready(self) -> Containers: ...
    async def _quickly(self, what: str, job: Callable[[Any], float | None]) -> float | None: ...


class CpuReadings:
    """The part of the Docker spawner that tells who computes."""

    async def cpu_seconds(self: Driver, server_ids: Collection[str]) -> Mapping[str, float]:
        """See `Spawner`; one question each.

        Raises:
            SpawnerError: The engine answered none of them.
        """
        containers, slots = self._ready(), asyncio.Semaphore(ASKED_AT_ONCE)
        faults: list[SpawnerError] = []

        async def ask(server_id: str) -> float | None:
            async with slots:
                try:
                    return await self._quickly(
                        f"reading the CPU time of server {server_id}",
                        lambda _: seconds_in(containers.stats(server_id)),
                    )
                except SpawnerError as error:
                    faults.append(error)
                    return None

        told = await asyncio.gather(*(ask(server_id) for server_id in server_ids))
        if faults and len(faults) == len(told):
            raise faults[0]
        return {i: used for i, used in zip(server_ids, told, strict=True) if used is not None}

    def full_cpu(self: Driver) -> float:
        """See `Spawner`."""
        return full_cpu(self._options())


def full_cpu(options: Options) -> float:
    """Return the CPU seconds a second that one server may use, 1 at most."""
    if options.cpu_quota:
        return min(1.0, options.cpu_quota / PERIOD)
    more = options.extra_host_config
    nano, quota, period = (more.get(name) or 0 for name in ("nano_cpus", "cpu_quota", "cpu_period"))
    if nano > 0:
        return float(min(1.0, nano / NANO))
    return float(min(1.0, quota / (period or PERIOD))) if quota > 0 else 1.0


def seconds_in(stats: object) -> float | None:
    """Return the CPU seconds in the engine's answer; None if it does not run, or says nothing."""
    try:
        used = stats["cpu_stats"]["cpu_usage"]["total_usage"]  # type: ignore[index]  # caught below
    except (TypeError, KeyError):
        return None
    return used / NANO if isinstance(used, int) and used > 0 else None
