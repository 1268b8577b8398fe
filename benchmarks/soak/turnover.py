"""An orchestrator in this process, and pretend visitors who come and go at high speed."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from benchmarks.common.command import BenchmarkError
from benchmarks.soak.route_table import RouteTable
from benchmarks.soak.sample import Sample, take
from tmpnb.core.endings import Endings
from tmpnb.core.plan import Policy
from tmpnb.core.server import Phase
from tmpnb.errors import PoolEmptyError, ServerExistsError, SpawnerError
from tmpnb.orchestrator.assembly import PoolSettings, assemble
from tmpnb.orchestrator.loop import Orchestrator
from tmpnb.orchestrator.timing import Timing
from tmpnb.proxy.chp import ConfigurableHTTPProxy
from tmpnb.spawners.base import ServerSpec, Spawner
from tmpnb.spawners.fake import FakeSpawner
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.system.signing import TokenMaker

MAX_IDLE = 100.0  # seconds of the leaping clock
PATIENCE = 120.0  # seconds until a wave must be over
PAUSE = 0.005  # seconds between two looks
QUIET_LOOKS = 40  # with as many tasks each time, until nothing is under way
LEAP_AFTER, LEAP = 0.3, 15.0  # seconds: what waits for time to pass, shall not wait long
ENDINGS = 10  # servers whose end is remembered
FAILING = 700  # every so many starts one fails


class LeapingClock:
    """Goes with the system's clock, and ahead of it by `leap`."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        """Return the time, Unix time in seconds."""
        return time.time() + self._ahead

    def leap(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += seconds

    def from_system(self, moment: float) -> float:
        """Return `moment`: what others wrote down is as old as it looks."""
        return moment

    def to_system(self, moment: float) -> float:
        """Return `moment`."""
        return moment


class FailingSpawner(FakeSpawner):
    """Pretend servers, some of which do not start."""

    _starts = itertools.count(1)

    async def start(self, spec: ServerSpec) -> str:
        """Start a server.

        Raises:
            SpawnerError: Now and then, on purpose.
        """
        if next(self._starts) % FAILING == 0:
            raise SpawnerError("this start fails on purpose")
        return await super().start(spec)


class Turnover:
    """One orchestrator, and visitors who come and go."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        clock: LeapingClock,
        kill: Callable[[str], None],
        roots: dict[str, object],
    ) -> None:
        """Keep what is needed.

        Args:
            orchestrator: It runs already.
            clock: The one it goes by.
            kill: Ends a server behind the orchestrator's back; takes its id, may block.
            roots: Where to look for what is held, by name.
        """
        self._orchestrator, self._clock = orchestrator, clock
        self._kill, self._roots = kill, roots
        self._waves = itertools.count(1)
        self.gone = 0

    async def turn_over(self, servers: int) -> None:
        """Let so many more servers come and go.

        Raises:
            BenchmarkError: The pool does not recover.
        """
        until = self.gone + servers
        while self.gone < until:
            await self._wave(next(self._waves))

    async def sample(self) -> Sample:
        """Read everything, at a moment when nothing is under way.

        Raises:
            BenchmarkError: There is no such moment.
        """
        await self._until_quiet()
        return take(self.gone, self._roots)

    async def _wave(self, number: int) -> None:
        """Claim all there is, end it in several ways, wait until all is new."""
        orchestrator, pool = self._orchestrator, self._orchestrator.pool
        await self._until(lambda: pool.stats().available == pool.capacity)
        if number % 10 == 0:
            self.gone += orchestrator.rollout.drain()
            await self._until(lambda: not any(s.drained for s in pool.servers.values()))
        await asyncio.gather(*(orchestrator.claims.claim() for _ in range(pool.stats().available)))
        claimed = [s.id for s in pool.servers.values() if s.phase is Phase.CLAIMED]
        orchestrator.claims.abandon(claimed[0])
        if number % 5 == 0:
            await self._reopen(claimed[0])
        if number % 7 == 0:
            await asyncio.to_thread(self._kill, claimed[-1])
        self._clock.leap(MAX_IDLE + 1)
        orchestrator.cull()
        await self._until(lambda: not pool.servers.keys() & set(claimed))
        self.gone += len(claimed)
        await self._until(lambda: pool.stats().available == pool.capacity)

    async def _until_quiet(self) -> None:
        counts: deque[int] = deque(maxlen=QUIET_LOOKS)
        async with asyncio.timeout(PATIENCE):
            while len(counts) < QUIET_LOOKS or len(set(counts)) > 1:
                counts.append(len(asyncio.all_tasks()))
                await asyncio.sleep(PAUSE)

    async def _reopen(self, server_id: str) -> None:
        """Take a new server under the id of one that has just ended."""
        async with asyncio.timeout(PATIENCE):
            while True:
                await self._until(lambda: server_id not in self._orchestrator.pool.servers)
                try:
                    await self._orchestrator.claims.claim_as(server_id)
                except (ServerExistsError, PoolEmptyError, SpawnerError):
                    # Its route is there until the next pass, or its place is being filled, or
                    # this is the start that fails.
                    self._orchestrator.wake()
                    await asyncio.sleep(PAUSE)
                else:
                    self.gone += 1
                    return

    async def _until(self, done: Callable[[], bool]) -> None:
        pause = time.monotonic() + LEAP_AFTER
        try:
            async with asyncio.timeout(PATIENCE):
                while not done():
                    await asyncio.sleep(PAUSE)
                    if time.monotonic() > pause:
                        self._clock.leap(LEAP)
                        self._orchestrator.cull()
                        pause = time.monotonic() + LEAP_AFTER
        except TimeoutError:
            raise BenchmarkError(f"stuck: {self._orchestrator.pool.stats()}") from None


@asynccontextmanager
async def turning_over(
    spawner: Spawner, kill: Callable[[str], None], clock: LeapingClock, *, capacity: int
) -> AsyncIterator[Turnover]:
    """Run an orchestrator until the end of the block, and stop all of its servers."""
    table = RouteTable(clock)
    table.start()
    proxy = ConfigurableHTTPProxy(Client(MAX_ANSWER), table.endpoint, "a token", spawner.pool_name)
    settings = PoolSettings(
        Policy(capacity, min_ready=capacity, max_idle=MAX_IDLE, max_age=1e9),
        Timing(shutdown_timeout=PATIENCE),
    )
    signer = TokenMaker(b"a key for benchmarks only")
    orchestrator = Orchestrator(assemble(spawner, proxy, settings, signer=signer, clock=clock))
    # Bounded in any case; here so low that it is full before anything is compared.
    orchestrator.pool.endings = Endings(ENDINGS)
    await spawner.setup()
    running = asyncio.create_task(orchestrator.run())
    try:
        roots = {"orchestrator": orchestrator, "spawner": spawner, "proxy": proxy}
        yield Turnover(orchestrator, clock, kill, roots)
    finally:
        orchestrator.shutdown(stop_claimed=True)
        await running
        await spawner.close()
        await proxy.close()
        await table.close()
