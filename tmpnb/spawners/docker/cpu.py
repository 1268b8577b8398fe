"""How much CPU time and memory containers use, as the engine tells it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from tmpnb.core.observation import Used
from tmpnb.errors import SpawnerError
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker_api.threads import Lane

if TYPE_CHECKING:
    from tmpnb.spawners.docker.containers import Containers

READERS = 16  # threads: an engine that measures once a second answers all who ask by then
PATIENCE = 5.0  # seconds for all answers, since a pass waits for them
PERIOD = 100_000  # microseconds, of a quota that says no other
NANO = 1e9

T = TypeVar("T")
Told = Callable[[object], T | None]


class Driver(Protocol):
    """What the readings need of the spawner."""

    _readers: Lane

    def _options(self) -> Options: ...
    def _ready(self) -> Containers: ...
    async def _asked(self, server_ids: Collection[str], read: Told[T]) -> Mapping[str, T]: ...


class CpuReadings:
    """The part of the Docker spawner that tells who computes."""

    async def cpu_seconds(self: Driver, server_ids: Collection[str]) -> Mapping[str, float]:
        """See `Spawner`."""
        return await self._asked(server_ids, seconds_in)

    async def used(self: Driver, server_ids: Collection[str]) -> Mapping[str, Used]:
        """See `Spawner`."""
        return await self._asked(server_ids, used_in)

    async def _asked(self: Driver, server_ids: Collection[str], read: Told[T]) -> Mapping[str, T]:
        """Ask one question about each, in another order each time, as time is short.

        Raises:
            SpawnerError: The engine answered none of them.
        """
        containers, slots = self._ready(), asyncio.Semaphore(READERS)
        found: dict[str, T] = {}
        faults: list[SpawnerError] = []

        async def ask(server_id: str) -> None:
            def job(given_up: threading.Event) -> T | None:
                return None if given_up.is_set() else read(containers.stats(server_id))

            what = f"reading what server {server_id} has used"
            async with slots:
                try:
                    used = await self._readers.run(what, job, seconds=PATIENCE)
                except SpawnerError as error:
                    faults.append(error)
                    return
            if used is not None:
                found[server_id] = used

        shuffled = random.sample(tuple(server_ids), len(server_ids))
        with suppress(TimeoutError):  # the others at another time
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*map(ask, shuffled))
        if faults and not found:
            raise faults[0]
        return found

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


def used_in(stats: object) -> Used | None:
    """Return what the engine's answer says of CPU and memory; None if it says nothing of CPU.

    What the kernel keeps of files that were read is no use of memory: it gives that back.
    """
    seconds = seconds_in(stats)
    if seconds is None:
        return None
    try:
        memory = stats["memory_stats"]  # type: ignore[index]  # caught below
        kept = memory.get("stats") or {}
        files = kept.get("inactive_file", kept.get("total_inactive_file", 0))
        return Used(seconds, max(0, int(memory["usage"]) - int(files)))
    except (TypeError, KeyError, ValueError, AttributeError):
        return Used(seconds)
