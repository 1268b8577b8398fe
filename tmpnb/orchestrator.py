"""Keep the pool as it should be: observe, plan, apply; and hand servers to visitors.

One loop owns all state. Everything it starts lives in one task group; every wait on
the outside has a deadline. What it must decide is in `reconcile`, which is pure.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial

from tmpnb.adoption import take_over
from tmpnb.bars import Bars
from tmpnb.claims import Claims
from tmpnb.clock import Clock
from tmpnb.crowd import Crowd
from tmpnb.culling import Culling
from tmpnb.downloads import Downloads
from tmpnb.endings import Farewell
from tmpnb.fleet import Fleet
from tmpnb.guarded import GuardedProxy, GuardedSpawner
from tmpnb.handover import HandOver
from tmpnb.health import Health
from tmpnb.http import Client
from tmpnb.journal import Journal
from tmpnb.keeps import Keeps
from tmpnb.lifetime import Lifetimes
from tmpnb.marks import Marks
from tmpnb.meters import Meters
from tmpnb.notebooks import Notebooks
from tmpnb.observation import Observation
from tmpnb.observer import Observer
from tmpnb.pool import Pool
from tmpnb.proxy import Proxy
from tmpnb.reconcile import Plan, Policy, plan
from tmpnb.rollout import Rollout
from tmpnb.roster import Roster
from tmpnb.server import NotebookServer, Phase
from tmpnb.spawners.base import Spawner
from tmpnb.starter import Starter, StartSettings
from tmpnb.tasks import Tasks
from tmpnb.timing import Timing
from tmpnb.tokens import TokenMaker
from tmpnb.usage import Usage
from tmpnb.wind_down import wind_down

log = logging.getLogger(__name__)

LONGEST_CROWD = 5.0  # seconds that a pass, and the starts in it, wait for a pause of the visitors
SHORTEST_PAUSE = 0.05  # seconds between passes
PASS_SHARE = 0.2  # of the time, at most, that passes take
BROKEN = "pass"  # topic of health: a pass broke off for a reason that nobody foresaw
STARTING_PAUSE = 2.0  # seconds between passes while a server starts, or nothing could be read yet


class Orchestrator:
    """Owns the pool; the only one that starts, claims and stops servers."""

    def __init__(
        self,
        *,
        spawner: Spawner,
        proxy: Proxy,
        policy: Policy,
        tokens: TokenMaker,
        clock: Clock,
        timing: Timing | None = None,
        starts: StartSettings | None = None,
        journal: Journal | None = None,
        kept: Journal | None = None,
    ) -> None:
        spawner.on_news = self.wake
        self.meters = meters = Meters()
        spawner, proxy = GuardedSpawner(spawner, meters), GuardedProxy(proxy, meters)
        self.pool = Pool(policy.capacity, clock)
        self.health = Health(clock)
        self.notebooks = Notebooks(spawner, self.pool.servers.values)
        self._spawner, self._proxy = spawner, proxy
        self._policy, self._clock, self.tokens = policy, clock, tokens
        self._timing = timing or Timing()
        self._bars = Bars(spawner, self.health, clock)
        self._client, self._tasks, self._crowd = Client(), Tasks(), Crowd()
        self._observer = Observer(spawner=spawner, proxy=proxy, health=self.health, clock=clock)
        self._starter = Starter(
            starts or StartSettings(),
            spawner=spawner,
            client=self._client,
            tokens=tokens,
            health=self.health,
            clock=clock,
        )
        self._marks = Marks(
            spawner=spawner,
            tasks=self._tasks,
            health=self.health,
            clock=clock,
            journal=journal,
            crowd=self._crowd,
        )
        self._keeps = Keeps(self.pool, clock, kept)
        handover = HandOver(
            proxy=proxy,
            client=self._client,
            marks=self._marks,
            crowd=self._crowd,
            health=self.health,
            ready_url=self._starter.ready_url,
        )
        self._fleet = Fleet(
            pool=self.pool,
            spawner=spawner,
            proxy=proxy,
            starter=self._starter,
            tasks=self._tasks,
            health=self.health,
            clock=clock,
            changed=self._changed,
            came_up=self._came_up,
        )
        self.rollout = Rollout(
            spawner=spawner,
            pool=self.pool,
            fleet=self._fleet,
            tasks=self._tasks,
            new_id=self._timing.new_id,
            wake=self.wake,
        )
        self.claims = Claims(
            pool=self.pool,
            fleet=self._fleet,
            handover=handover,
            proxy=proxy,
            health=self.health,
            keeps=self._keeps,
            clock=clock,
            image=lambda: self.image,
            coming=self._starter.times.coming,
            serving=lambda: self._adopted and not self._closing and not self._bars.barred(),
        )
        usage = Usage(
            client=self._client,
            tokens=tokens,
            clock=clock,
            tasks=self._tasks,
            max_idle=policy.max_idle,
            live=self.claims.live,
        )
        self.lifetimes = Lifetimes(
            usage=usage,
            clock=clock,
            max_idle=policy.max_idle,
            max_age=policy.max_age,
        )
        self.roster = Roster(
            pool=self.pool, spawner=spawner, usage=usage, lifetimes=self.lifetimes, clock=clock
        )
        self.culling = Culling(usage, self.pool, self._tasks, self.health, self.wake)
        self.downloads = Downloads(self._client, tokens, self.claims.live, self.claims.use)
        self._woken = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None  # the pass that is under way
        self._adopted = self._closing = self._stop_claimed = False

    # For visitors and operators

    @property
    def image(self) -> str:
        """The image that new servers are started from; empty where engines have none."""
        return self.rollout.image

    @property
    def name(self) -> str:
        """The name of the pool, unique within its engine."""
        return self._spawner.pool_name

    @property
    def adopted(self) -> bool:
        """Whether it knows which servers a previous orchestrator handed out."""
        return self._adopted

    def farewell(self, server_id: str) -> Farewell:
        """Return what to tell a visitor about a server that they no longer have."""
        server = self.pool.servers.get(server_id)
        stopping = server is not None and server.phase is Phase.STOPPING
        return self.lifetimes.farewell(self.pool.endings.of(server_id), stopping=stopping)

    def readiness(self) -> dict[str, bool]:
        """Return what a visitor needs, and whether it is there."""
        return self._bars.readiness(self.pool, adopted=self._adopted)

    def small_page(self, server: NotebookServer) -> str:
        """Return where phones and frames land on a server; empty: same as others."""
        return self._starter.small_pages.of(server.image)

    def token_for(self, server_id: str) -> str:
        """Return the secret token of a server."""
        return self.tokens.token_for(server_id)

    def is_id(self, text: str) -> bool:
        """Whether a text has exactly the format of ids generated here."""
        return self._timing.is_id(text)

    def cull(self) -> None:
        """Ask servers whether they are in use, and stop idle ones in later passes.

        Called on a periodic callback; does nothing while servers are still being asked.
        """
        if self._adopted and not self._closing:
            self.culling.begin()

    def wake(self) -> None:
        """Start the next pass now instead of at the end of the interval."""
        self._woken.set()

    def shutdown(self, *, stop_claimed: bool) -> None:
        """End `run`: unclaimed servers are stopped, claimed ones only if `stop_claimed`."""
        self._closing, self._stop_claimed = True, stop_claimed
        if self._looking is not None:
            self._looking.cancel()
        self.wake()

    def _changed(self) -> None:
        """Run another pass and serve the line: a server has entered another phase."""
        self.claims.look_again()
        self.wake()

    def _came_up(self) -> None:
        """Serve those waiting for a ready server; while others start, a pass comes soon anyway.

        A pass for each of many that come up would take from the engine what it needs to start
        the next.
        """
        self.claims.look_again()
        if not self._fleet.starting or any(s.drained for s in self.pool.servers.values()):
            self.wake()

    # The loop

    async def run(self) -> None:
        """Reconcile until `shutdown`, then remove what must go, within a deadline."""
        async with self._tasks:
            while not self._closing:
                begun = asyncio.get_running_loop().time()
                work = self.health.watch(partial(self.meters.passes.of, self._pass), BROKEN)
                self._looking = self._tasks.spawn(work, "pass")
                await asyncio.wait({self._looking})
                await self._pause(asyncio.get_running_loop().time() - begun)
            await self._wind_down()
        self._client.close()

    async def _pause(self, pass_took: float) -> None:
        # What comes together is done in one pass; and the longer an engine takes to tell
        # of its many servers, the more rarely it is asked.
        rest = min(pass_took * (1 / PASS_SHARE - 1), STARTING_PAUSE)
        await asyncio.sleep(max(SHORTEST_PAUSE, rest))
        backoff = self._starter.backoff
        seconds = self._timing.reconcile_interval
        if self._fleet.starting or not self._adopted:
            seconds = min(seconds, STARTING_PAUSE)
        if backoff.failures:
            seconds = min(seconds, max(0.1, backoff.due - self._clock()))
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        await self._crowd.pause(LONGEST_CROWD, lambda: self._closing or self.claims.urgent)
        self._woken.clear()

    async def _pass(self) -> None:
        culling = self.culling.take_due()
        seen = await self._observer.observe(self.pool.servers.values())
        self._bars.barred()
        if culling:
            servers = tuple(self.pool.servers.values())
            seen = self.culling.added_to(seen)
            seen = await self._observer.with_burning(seen, servers, self._policy.max_burning)
        seen = seen.without(self.pool.gone_since(seen.taken_at))
        if not self._closing:
            self._apply(plan(seen, self.pool.servers, self._policy_after_adopting(seen)))
            self.health.passed()
            self.claims.look_again()

    def _policy_after_adopting(self, seen: Observation) -> Policy:
        """Adopt what a previous orchestrator left; at first nothing is too young to judge."""
        if self._adopted:
            return self._policy
        take_over(seen, self.pool, self._marks, self._keeps)
        self._adopted = True
        return replace(self._policy, grace=0.0)

    def _apply(self, todo: Plan) -> None:
        for server_id, reason in todo.stop.items():
            server = self.pool.servers.get(server_id)
            if server is None:  # carries our labels, but we do not know its history
                server = NotebookServer(server_id, self._clock(), created_at=self._clock())
                self.pool.add(server)
            self._fleet.stop(server, reason)
        for server_id in todo.give_up:
            self._starter.give_up(server_id)
        for server_id, target in todo.add_routes.items():
            self.pool.servers[server_id].address = target
            self._tasks.spawn(self._proxy.add_route(server_id, target), f"route of {server_id}")
        for server_id in todo.delete_routes:
            self._tasks.spawn(self._proxy.delete_route(server_id), f"route of {server_id}")
        backoff, under_way = self._starter.backoff, self._fleet.starting
        bars = self._bars
        launch = 0 if bars.barred() or bars.unready(self.image) else todo.launch
        for _ in range(backoff.allowed(launch, under_way, self._clock())):
            self._fleet.launch(self._timing.new_id(), self.image)

    async def _wind_down(self) -> None:
        await asyncio.sleep(0)  # a task cancelled before its first step would clean up nothing
        self._fleet.cancel_starts()
        if not self._stop_claimed:
            await self._marks.flush()
        await wind_down(
            self.pool,
            self._fleet,
            stop_claimed=self._stop_claimed,
            news=self._woken,
            patience=self._timing.shutdown_timeout,
        )
        self._tasks.cancel_all()
