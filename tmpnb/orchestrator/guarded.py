"""Guard a spawner and a proxy: they raise and return only what their contracts say."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from tmpnb.core.observation import Instance, Route, Used
from tmpnb.errors import ProxyError, SpawnerError, TmpnbError
from tmpnb.orchestrator.meters import EngineCall, Meters, ProxyCall
from tmpnb.proxy.contract import Proxy
from tmpnb.spawners.base import ServerSpec, Spawner
from tmpnb.spawners.examination import Examination
from tmpnb.system.calls import Calls
from tmpnb.system.net.networks import Address

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 10.0  # seconds
PROXY_TIMEOUT = 30.0  # seconds for any question; those who ask mostly have less
PREPARE_TIMEOUT = 3600.0  # seconds; an image may be large, and come a long way

A = TypeVar("A")
T = TypeVar("T")


class GuardedSpawner(Spawner):
    """Any spawner; every failure is a `SpawnerError` or a `ConfigError`."""

    def __init__(self, inner: Spawner, meters: Meters | None = None) -> None:
        super().__init__()
        self._inner, self._calls = inner, Calls(SpawnerError)
        self._meters = (meters or Meters()).engine
        self._border = self._calls.border
        self.image, self.pool = inner.image, inner.pool

    def check(self) -> None:
        """See `Spawner`."""
        with self._border.crossing("checking the engine's settings"):
            self._inner.check()

    async def setup(self) -> None:
        """See `Spawner`."""
        await self._calls.make("setting up the engine", self._inner.setup, _nothing)
        self.engine_id = self._inner.engine_id

    async def prepare(self, image: str) -> None:
        """See `Spawner`."""
        what, ask = f"preparing the image {image}", partial(self._inner.prepare, image)
        await self._ask(EngineCall.PREPARE, what, ask, _nothing, seconds=PREPARE_TIMEOUT)

    async def start(self, spec: ServerSpec) -> str:
        """See `Spawner`."""
        what, ask = f"starting server {spec.server_id}", partial(self._inner.start, spec)
        return await self._ask(EngineCall.START, what, ask, _checked_address, secret=spec.token)

    async def stop(self, server_id: str) -> None:
        """See `Spawner`."""
        what, ask = f"stopping server {server_id}", partial(self._inner.stop, server_id)
        await self._ask(EngineCall.STOP, what, ask, _nothing)

    async def list(self) -> list[Instance]:
        """See `Spawner`."""
        what, ask = "listing servers", self._inner.list
        return await self._ask(EngineCall.LIST, what, ask, _checked_instances)

    def barred(self) -> str:
        """See `Spawner`; while that cannot be told, nothing may be given out."""
        try:
            with self._border.crossing("asking whether servers may be given out"):
                return str(self._inner.barred() or "")
        except SpawnerError as error:
            return str(error)

    def unready(self, image: str) -> str:
        """See `Spawner`; while that cannot be told, a start tells."""
        try:
            with self._border.crossing("asking whether servers can be started"):
                return str(self._inner.unready(image) or "")
        except SpawnerError as error:
            log.debug("%s", error)
            return ""

    def holds(self, address: Address) -> bool | None:
        """See `Spawner`; while that cannot be told, `addresses` must."""
        try:
            with self._border.crossing("asking whose address it is"):
                held = self._inner.holds(address)
                return None if held is None else bool(held)
        except SpawnerError:
            return None

    async def addresses(self) -> Collection[Address]:
        """See `Spawner`."""
        what, ask = "asking for the addresses of servers", self._inner.addresses
        return await self._ask(EngineCall.ADDRESSES, what, ask, frozenset)

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        """See `Spawner`."""
        what = f"claiming server {server_id}"
        ask = partial(self._inner.mark_claimed, server_id, claimed_at)
        await self._ask(EngineCall.MARK_CLAIMED, what, ask, _nothing)

    async def logs(self, server_id: str, lines: int = 20) -> str:
        """See `Spawner`."""
        what = f"reading what server {server_id} printed"
        ask = partial(self._inner.logs, server_id, lines)
        return await self._ask(EngineCall.LOGS, what, ask, lambda text: str(text or ""))

    async def cpu_seconds(self, server_ids: Collection[str]) -> Mapping[str, float]:
        """See `Spawner`; what is no number is not known."""
        what, ask = "reading which servers compute", partial(self._inner.cpu_seconds, server_ids)
        return await self._ask(EngineCall.CPU_SECONDS, what, ask, _numbers)

    async def used(self, server_ids: Collection[str]) -> Mapping[str, Used]:
        """See `Spawner`; what is no number is not known."""
        ask = partial(self._inner.used, server_ids)
        return await self._calls.make("reading what servers use", ask, _checked_uses)

    def full_cpu(self) -> float:
        """See `Spawner`."""
        try:
            with self._border.crossing("asking for the CPU of a server"):
                return float(self._inner.full_cpu())
        except SpawnerError:
            return 1.0

    async def close(self) -> None:
        """See `Spawner`; one that does not end is left behind."""
        what, ask = "closing the engine", self._inner.close
        await self._calls.make(what, ask, _nothing, seconds=CLOSE_TIMEOUT)

    def examination(self) -> Examination:
        """See `Spawner`."""
        with self._border.crossing("preparing to examine the engine"):
            return self._inner.examination()

    async def _ask(
        self,
        call: EngineCall,
        what: str,
        ask: Callable[[], Awaitable[A]],
        check: Callable[[A], T],
        *,
        secret: str = "",
        seconds: float | None = None,
    ) -> T:
        make = partial(self._calls.make, what, ask, check, secret=secret, seconds=seconds)
        return await self._meters[call].of(make)


async def let_go(spawner: Spawner) -> None:
    """Close a spawner at the end; that it cannot be closed is told, and changes no outcome."""
    try:
        await GuardedSpawner(spawner).close()
    except TmpnbError as error:
        log.warning("%s", error)


class GuardedProxy:
    """Any proxy; every failure is a `ProxyError` or a `ConfigError`. A `Proxy`."""

    def __init__(self, inner: Proxy, meters: Meters | None = None) -> None:
        """Keep whom to ask, and what measures it."""
        self._inner, self._calls = inner, Calls(ProxyError)
        self._meters = (meters or Meters()).proxy

    async def setup(self) -> None:
        """See `Proxy`."""
        what, ask = "asking the proxy", self._inner.setup
        await self._calls.make(what, ask, _nothing, seconds=PROXY_TIMEOUT)

    async def list_routes(self) -> list[Route]:
        """See `Proxy`."""
        what, ask = "listing routes", self._inner.list_routes
        return await self._ask(ProxyCall.LIST_ROUTES, what, ask, _checked_routes)

    async def route_exists(self, server_id: str) -> bool:
        """See `Proxy`."""
        what = f"asking for the route of server {server_id}"
        ask = partial(self._inner.route_exists, server_id)
        return await self._ask(ProxyCall.ROUTE_EXISTS, what, ask, bool)

    async def add_route(self, server_id: str, target: str) -> None:
        """See `Proxy`."""
        what = f"adding the route of server {server_id}"
        ask = partial(self._inner.add_route, server_id, target)
        await self._ask(ProxyCall.ADD_ROUTE, what, ask, _nothing)

    async def delete_route(self, server_id: str) -> None:
        """See `Proxy`."""
        what = f"removing the route of server {server_id}"
        ask = partial(self._inner.delete_route, server_id)
        await self._ask(ProxyCall.DELETE_ROUTE, what, ask, _nothing)

    async def close(self) -> None:
        """See `Proxy`; one that does not end is left behind."""
        what, ask = "closing the proxy", self._inner.close
        await self._calls.make(what, ask, _nothing, seconds=CLOSE_TIMEOUT)

    async def _ask(
        self,
        call: ProxyCall,
        what: str,
        ask: Callable[[], Awaitable[A]],
        check: Callable[[A], T],
    ) -> T:
        make = partial(self._calls.make, what, ask, check, seconds=PROXY_TIMEOUT)
        return await self._meters[call].of(make)


# What follows raises anything: it is called inside of a border.


def _nothing(answer: object) -> None:
    """Accept any result where none is expected."""


def _numbers(used: Mapping[str, float]) -> Mapping[str, float]:
    return {i: float(seconds) for i, seconds in dict(used).items() if _is_number(seconds)}


def _checked_uses(found: Mapping[str, object]) -> Mapping[str, Used]:
    return {i: one for i, one in dict(found).items() if isinstance(one, Used) and _is_sound(one)}


def _is_sound(used: Used) -> bool:
    return _is_number(used.cpu_seconds) and (used.memory is None or _is_number(used.memory))


def _checked_instances(found: Iterable[object]) -> list[Instance]:
    return [_checked_instance(one) for one in found]


def _checked_routes(found: Iterable[object]) -> list[Route]:
    return [_checked_route(one) for one in found]


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
