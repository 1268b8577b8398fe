"""A spawner and a proxy behind a border: they raise and return what their contracts say, only."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from tmpnb.border import Border
from tmpnb.errors import ProxyError, SpawnerError
from tmpnb.examination import Examination
from tmpnb.observation import Instance, Route
from tmpnb.proxy import Proxy
from tmpnb.spawners.base import ServerSpec, Spawner


class GuardedSpawner(Spawner):
    """Any spawner, whose every failure is a `SpawnerError` or a `ConfigError`."""

    def __init__(self, inner: Spawner) -> None:
        super().__init__()
        self._inner, self._border = inner, Border(SpawnerError)
        self.image, self.pool_name = inner.image, inner.pool_name

    async def setup(self) -> None:
        """See `Spawner`."""
        with self._border.crossing("setting up the engine"):
            await self._inner.setup()
        self.engine_id = self._inner.engine_id

    async def prepare(self, image: str) -> None:
        """See `Spawner`."""
        with self._border.crossing(f"preparing the image {image}"):
            await self._inner.prepare(image)

    async def start(self, spec: ServerSpec) -> str:
        """See `Spawner`."""
        with self._border.crossing(f"starting server {spec.server_id}", spec.token):
            return _checked_address(await self._inner.start(spec))

    async def stop(self, server_id: str) -> None:
        """See `Spawner`."""
        with self._border.crossing(f"stopping server {server_id}"):
            await self._inner.stop(server_id)

    async def list(self) -> list[Instance]:
        """See `Spawner`."""
        with self._border.crossing("listing servers"):
            return [_checked_instance(one) for one in await self._inner.list()]

    def barred(self) -> str:
        """See `Spawner`; while that cannot be told, nothing may be given out."""
        try:
            with self._border.crossing("asking whether servers may be given out"):
                return str(self._inner.barred() or "")
        except SpawnerError as error:
            return str(error)

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        """See `Spawner`."""
        with self._border.crossing(f"claiming server {server_id}"):
            await self._inner.mark_claimed(server_id, claimed_at)

    async def logs(self, server_id: str, lines: int = 20) -> str:
        """See `Spawner`."""
        with self._border.crossing(f"reading what server {server_id} printed"):
            return str(await self._inner.logs(server_id, lines) or "")

    async def cpu_seconds(self, server_ids: Collection[str]) -> Mapping[str, float]:
        """See `Spawner`; what is no number is not known."""
        with self._border.crossing("reading who computes"):
            used = dict(await self._inner.cpu_seconds(server_ids))
            return {i: float(seconds) for i, seconds in used.items() if _is_number(seconds)}

    def full_cpu(self) -> float:
        """See `Spawner`."""
        try:
            with self._border.crossing("asking for the CPU of a server"):
                return float(self._inner.full_cpu())
        except SpawnerError:
            return 1.0

    async def close(self) -> None:
        """See `Spawner`."""
        with self._border.crossing("closing the engine"):
            await self._inner.close()

    def examination(self) -> Examination:
        """See `Spawner`."""
        with self._border.crossing("preparing to examine the engine"):
            return self._inner.examination()


class GuardedProxy:
    """Any proxy, whose every failure is a `ProxyError` or a `ConfigError`. A `Proxy`."""

    def __init__(self, inner: Proxy) -> None:
        """Keep whom to ask."""
        self._inner, self._border = inner, Border(ProxyError)

    async def setup(self) -> None:
        """See `Proxy`."""
        with self._border.crossing("asking the proxy"):
            await self._inner.setup()

    async def list_routes(self) -> list[Route]:
        """See `Proxy`."""
        with self._border.crossing("listing routes"):
            return [_checked_route(one) for one in await self._inner.list_routes()]

    async def route_exists(self, server_id: str) -> bool:
        """See `Proxy`."""
        with self._border.crossing(f"asking for the route of server {server_id}"):
            return bool(await self._inner.route_exists(server_id))

    async def add_route(self, server_id: str, target: str) -> None:
        """See `Proxy`."""
        with self._border.crossing(f"adding the route of server {server_id}"):
            await self._inner.add_route(server_id, target)

    async def delete_route(self, server_id: str) -> None:
        """See `Proxy`."""
        with self._border.crossing(f"removing the route of server {server_id}"):
            await self._inner.delete_route(server_id)

    async def close(self) -> None:
        """See `Proxy`."""
        with self._border.crossing("closing the proxy"):
            await self._inner.close()


# What follows raises anything: it is called inside of a border.


def _checked_address(address: object) -> str:
    if not isinstance(address, str):
        raise TypeError(f"the address is {address!r}")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"the address is {address!r}")
    return address


def _checked_instance(one: object) -> Instance:
    if not isinstance(one, Instance):
        raise TypeError(f"no instance: {one!r}")
    times = (one.created_at, 0.0 if one.claimed_at is None else one.claimed_at)
    named = isinstance(one.server_id, str) and isinstance(one.address, str | None)
    if not (named and one.server_id and all(map(_is_number, times))):
        raise ValueError(f"an instance that makes no sense: {one!r}")
    return one


def _checked_route(one: object) -> Route:
    if not isinstance(one, Route):
        raise TypeError(f"no route: {one!r}")
    named = isinstance(one.server_id, str) and isinstance(one.target, str)
    if not (named and _is_number(one.last_activity)):
        raise ValueError(f"a route that makes no sense: {one!r}")
    return one


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
