"""An orchestrator over pretend engine and proxy, run in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.support.fake_proxy import FakeProxy
from tmpnb.access.gate import Gate
from tmpnb.access.limits import Allowance, ClientLimits
from tmpnb.access.passphrase import Passes
from tmpnb.access.ties import Sealed, Ties
from tmpnb.commands.serve import downloads_of, roster_of, time_left_of
from tmpnb.core.plan import Policy
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.orchestrator.assembly import PoolSettings, assemble
from tmpnb.orchestrator.claims.claim_journal import Journal
from tmpnb.orchestrator.launch.launcher import StartSettings
from tmpnb.orchestrator.loop import Orchestrator
from tmpnb.orchestrator.timing import Timing
from tmpnb.spawners.base import PoolIdentity
from tmpnb.spawners.fake import FakeEngine, FakeSpawner
from tmpnb.system.signing import Signer
from tmpnb.visitors.arrivals import Arrivals
from tmpnb.visitors.identity import Visitor, Visitors
from tmpnb.web.routes import Site

KEY = b"a key for tests only"
DEADLINE = 10.0  # seconds until a condition must have come true


def site_of(orchestrator: Orchestrator, version: str) -> Site:
    """Return what handlers need to serve an orchestrator."""
    visitors = Visitors(orchestrator.tokens, orchestrator.claims.live)
    arrivals = Arrivals(orchestrator, "/lab", visitors)
    time_left = time_left_of(orchestrator)
    return Site(
        orchestrator,
        arrivals,
        visitors,
        gate_of(orchestrator),
        version,
        time_left,
        downloads_of(orchestrator),
        roster_of(orchestrator, time_left),
    )


def cookie_of(
    orchestrator: Orchestrator, kind: str, value: str, network: str = "127.0.0.1"
) -> dict[str, str]:
    """Return the header of a browser that has a cookie of a kind, good in one network."""
    ties = Ties(orchestrator.tokens)
    sealed = ties.seal(kind, Sealed(value, ties.added(kind, (), network)))
    return {"Cookie": f"tmpnb-{kind}={sealed}"}


def gate_of(
    orchestrator: Orchestrator,
    *,
    servers: int = 0,
    a_minute: int = 0,
    passphrase: str = "",
    clock: Callable[[], float] | None = None,
    **options: Any,
) -> Gate:
    """Return a gate; without more, everybody passes it."""
    clock, claims = clock or FakeClock(), orchestrator.claims
    limits = ClientLimits(
        Allowance(servers, a_minute),
        clock,
        claimed=claims.live_among,
        waiting=claims.waiting_among,
    )
    passes = Passes(orchestrator.tokens, passphrase)
    return Gate(limits=limits, passes=passes, clock=clock, **options)


class FakeClock:
    """Unix time in seconds that moves by a tick at each look, and by `advance`."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 0.001
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def from_system(self, moment: float) -> float:
        return moment

    def to_system(self, moment: float) -> float:
        return moment


async def server_for(
    visitors: Visitors, visitor: Visitor, take: Callable[[], Awaitable[NotebookServer]]
) -> NotebookServer:
    """Return the server that a visitor has, or takes now: one at a time."""
    await visitors.settled(visitor)
    server = visitors.server_of(visitor)
    if server is None:
        with visitors.taking(visitor) as note:
            server = await take()
            note(server)
    return server


async def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Return once `condition` holds; fail when it has not within `DEADLINE`."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never came true: {what or condition}") from None


class World:
    """One orchestrator and everything around it."""

    def __init__(
        self,
        capacity: int = 3,
        *,
        spawner: FakeSpawner | None = None,
        engine: FakeEngine | None = None,
        proxy: FakeProxy | None = None,
        clock: FakeClock | None = None,
        min_ready: int | None = None,
        max_idle: float = 100.0,
        max_age: float = 1000.0,
        ready_max_age: float = float("inf"),
        max_burning: float = float("inf"),
        start_timeout: float = 5.0,
        interval: float = 0.2,
        journal: Journal | None = None,
        kept: Journal | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.engine = engine or FakeEngine(self.clock)
        self.proxy = proxy or FakeProxy("test", self.clock)
        self.spawner = spawner or FakeSpawner()
        self.spawner.engine, self.spawner.pool = self.engine, PoolIdentity("test")
        self.policy = Policy(
            capacity,
            min_ready or capacity,
            max_idle,
            max_age,
            max_burning=max_burning,
            ready_max_age=ready_max_age,
        )
        settings = PoolSettings(
            self.policy,
            Timing(interval, shutdown_timeout=3.0),
            StartSettings(4, start_timeout),
            journal=journal,
            kept=kept,
        )
        self.parts = assemble(
            self.spawner, self.proxy, settings, signer=Signer(KEY), clock=self.clock
        )
        self.orchestrator = Orchestrator(self.parts)
        self.pool = self.orchestrator.pool
        self.time_left = time_left_of(self.orchestrator)

    def servers(self, phase: Phase) -> list[NotebookServer]:
        return [s for s in self.pool.servers.values() if s.phase is phase]

    async def until_ready(self, count: int) -> None:
        await wait_until(lambda: len(self.servers(Phase.READY)) == count, f"{count} ready")

    async def passes(self, count: int) -> None:
        """Let so many passes of the loop go by."""
        for _ in range(count):
            last = self.orchestrator.health.last_pass
            self.orchestrator.wake()
            await wait_until(lambda last=last: self.orchestrator.health.last_pass != last)

    async def cull(self) -> None:
        """Have all servers asked whether they are in use, and judged by it."""
        self.orchestrator.cull()
        await wait_until(lambda: not self.parts.culling.asking, "all were asked")
        await self.passes(2)  # one may have been under way

    async def until_gone(self, server_id: str) -> None:
        await wait_until(lambda: server_id not in self.pool.servers, f"{server_id} gone")

    def instances(self) -> set[str]:
        """Ids of what the engine holds for this pool."""
        return {sid for pool, sid in self.engine.servers if pool == "test"}

    def kill(self, server_id: str) -> None:
        """End a server behind the orchestrator's back."""
        self.engine.servers["test", server_id].running = False

    @asynccontextmanager
    async def running(self, *, stop_claimed: bool = True) -> AsyncIterator[World]:
        await self.spawner.setup()
        loop = asyncio.create_task(self.orchestrator.run())
        try:
            yield self
        finally:
            self.orchestrator.shutdown(stop_claimed=stop_claimed)
            await asyncio.wait_for(loop, DEADLINE)
            await self.spawner.close()

    @asynccontextmanager
    async def crashing(self) -> AsyncIterator[World]:
        """Run, and end as `kill -9` does: without any clean-up."""
        await self.spawner.setup()
        loop = asyncio.create_task(self.orchestrator.run())
        try:
            yield self
        finally:
            loop.cancel()
            await asyncio.wait({loop})
