"""Keep the pool as it should be: observe, plan, apply; and hand servers to visitors.

One loop owns all state. Everything it starts lives in one task group; every wait on
the outside has a deadline. What it must decide is in `reconcile`, which is pure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

from tmpnb.errors import (
    ProxyError,
    ServerExistsError,
    SpawnerError,
    TmpnbError,
)
from tmpnb.handover import HandOver
from tmpnb.health import Health
from tmpnb.http import Client
from tmpnb.observation import Observation
from tmpnb.observer import Observer
from tmpnb.pool import Pool
from tmpnb.proxy import Proxy
from tmpnb.reconcile import Plan, Policy, adopt, plan
from tmpnb.server import NotebookServer, Phase, StopReason
from tmpnb.spawners.base import Spawner
from tmpnb.starter import Starter, StartSettings
from tmpnb.tasks import Tasks, supervise
from tmpnb.tokens import TokenMaker, new_id

log = logging.getLogger(__name__)

STOP_RETRY = 2.0  # seconds between tries to remove a server
SHORTEST_PAUSE = 0.05  # seconds between passes
STARTING_PAUSE = 2.0  # seconds between passes while a server starts, or nothing could be read yet
NEVER = float("-inf")  # Unix time in seconds


@dataclass(frozen=True, slots=True)
class Timing:
    """How the loop runs."""

    reconcile_interval: float = 10.0  # seconds between passes that nothing woke
    shutdown_timeout: float = 20.0  # seconds to remove servers at the end
    user_length: int = 12  # characters of a server id


class Orchestrator:
    """Owns the pool; the only one that starts, claims and stops servers."""

    def __init__(
        self,
        *,
        spawner: Spawner,
        proxy: Proxy,
        policy: Policy,
        tokens: TokenMaker,
        clock: Callable[[], float],
        timing: Timing | None = None,
        starts: StartSettings | None = None,
    ) -> None:
        self.pool = Pool(policy.capacity, clock)
        self.health = Health(clock)
        self._spawner, self._proxy = spawner, proxy
        self._policy, self._tokens, self._clock = policy, tokens, clock
        self._timing = timing or Timing()
        self._client, self._tasks = Client(), Tasks()
        self._observer = Observer(
            spawner=spawner,
            proxy=proxy,
            client=self._client,
            tokens=tokens,
            health=self.health,
            clock=clock,
        )
        self._starter = Starter(
            starts or StartSettings(),
            spawner=spawner,
            client=self._client,
            tokens=tokens,
            health=self.health,
            clock=clock,
        )
        self._handover = HandOver(
            spawner=spawner,
            proxy=proxy,
            client=self._client,
            tasks=self._tasks,
            health=self.health,
            ready_url=self._starter.ready_url,
        )
        self._woken = asyncio.Event()
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._awaited: dict[str, asyncio.Future[None]] = {}  # by a visitor, in `claim_as`
        self._cull_due = self._adopted = self._closing = self._stop_claimed = False
        self._drained_at = NEVER

    # For visitors and operators

    @property
    def image(self) -> str:
        """The image that new servers are started from; empty where engines have none."""
        return self._spawner.image

    @property
    def adopted(self) -> bool:
        """Whether it knows by now which servers a former orchestrator gave out."""
        return self._adopted

    def token_for(self, server_id: str) -> str:
        """Return the secret that a server asks for."""
        return self._tokens.token_for(server_id)

    def live(self, server_id: str) -> NotebookServer | None:
        """Return the server of this id if a visitor has it now."""
        server = self.pool.servers.get(server_id)
        return server if server is not None and server.phase is Phase.CLAIMED else None

    async def claim(self) -> NotebookServer:
        """Give a visitor a ready server: seen alive just now, routed, marked as claimed.

        Raises:
            PoolEmptyError: None is ready.
            ProxyError: The proxy does not answer, or refuses the route.
        """
        self._require_service()
        while True:
            server = self.pool.claim()
            self.wake()
            if await self._give(server):
                return server

    async def claim_as(self, server_id: str) -> NotebookServer:
        """Start a new, empty server under an id of the past, and give it out.

        When the pool has no room, one ready server makes place for it.

        Raises:
            ServerExistsError: The id is in use, here or by somebody else.
            PoolEmptyError: There is no room and nothing ready to give up.
            SpawnerError: It did not start.
            ProxyError: The proxy does not answer, or refuses the route.
        """
        self._require_service()
        if await self._proxy.route_exists(server_id) or server_id in self.pool.servers:
            raise ServerExistsError(f"the address of server {server_id} is in use")
        leaving: asyncio.Task[None] | None = None
        if not self.pool.has_room():
            leaving = self._stop(self.pool.oldest_ready() or self.pool.refuse(), StopReason.SURPLUS)
        started = self._awaited[server_id] = asyncio.get_running_loop().create_future()
        server = self._launch(server_id, after=leaving)
        await asyncio.shield(started)
        if not await self._give(server):
            raise SpawnerError(f"server {server_id} died while it was handed over")
        return server

    def drain(self) -> int:
        """Stop every unclaimed server so that a new one takes its place; return how many.

        Those still starting are stopped as soon as they are up.
        """
        self._drained_at = self._clock()
        count = 0
        for server in tuple(self.pool.servers.values()):
            count += server.phase in (Phase.STARTING, Phase.READY)
            if server.phase is Phase.READY:
                self._stop(server, StopReason.DRAINED)
        self.wake()
        return count

    def cull(self) -> None:
        """Look for idle servers in a pass that begins now. Called on a periodic callback."""
        self._cull_due = True
        self.wake()

    def wake(self) -> None:
        """Begin the next pass now instead of at the end of the interval."""
        self._woken.set()

    def shutdown(self, *, stop_claimed: bool) -> None:
        """End `run`: unclaimed servers are stopped, claimed ones only if `stop_claimed`."""
        self._closing, self._stop_claimed = True, stop_claimed
        self.wake()

    # The loop

    async def run(self) -> None:
        """Reconcile until `shutdown`, then remove what has to go within a deadline."""
        async with self._tasks:
            while not self._closing:
                await supervise(self._pass(), "pass")
                await self._pause()
            await self._wind_down()
        self._client.close()

    async def _pause(self) -> None:
        await asyncio.sleep(SHORTEST_PAUSE)  # what comes together is done in one pass
        backoff = self._starter.backoff
        seconds = self._timing.reconcile_interval
        if self._starting or not self._adopted:
            seconds = min(seconds, STARTING_PAUSE)
        if backoff.failures:
            seconds = min(seconds, max(0.1, backoff.due - self._clock()))
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _pass(self) -> None:
        culling = self._cull_due and self._adopted
        seen = await self._observer.observe(self.pool.servers.values())
        if culling:
            servers = tuple(self.pool.servers.values())
            seen = await self._observer.with_activity(seen, servers, self._policy.max_idle)
            self._cull_due = False
        if not self._closing:
            self._apply(plan(seen, self.pool.servers, self._policy_after_adopting(seen)))
            self.health.passed()

    def _policy_after_adopting(self, seen: Observation) -> Policy:
        """Take in what a former orchestrator left; at first nothing is too young to judge."""
        if self._adopted:
            return self._policy
        for server in adopt(seen):
            self.pool.add(server)
            log.info("server adopted id=%s address=%s", server.id, server.address)
        self._adopted = True
        return replace(self._policy, grace=0.0)

    def _apply(self, todo: Plan) -> None:
        for server_id, reason in todo.stop.items():
            server = self.pool.servers.get(server_id)
            if server is None:  # carries our labels, but we do not know its history
                server = NotebookServer(server_id, self._clock(), created_at=self._clock())
                self.pool.add(server)
            self._stop(server, reason)
        for server_id in todo.give_up:
            self._starter.give_up(server_id)
        for server_id, target in todo.add_routes.items():
            self.pool.servers[server_id].address = target
            self._tasks.spawn(self._proxy.add_route(server_id, target), f"route of {server_id}")
        for server_id in todo.delete_routes:
            self._tasks.spawn(self._proxy.delete_route(server_id), f"route of {server_id}")
        backoff, under_way = self._starter.backoff, len(self._starting)
        for _ in range(backoff.allowed(todo.launch, under_way, self._clock())):
            self._launch(new_id(self._timing.user_length))

    async def _wind_down(self) -> None:
        await asyncio.sleep(0)  # a task cancelled before its first step would clean up nothing
        for start in tuple(self._starting.values()):
            start.cancel()
        leaving = {Phase.READY, Phase.CLAIMED} if self._stop_claimed else {Phase.READY}
        for server in tuple(self.pool.servers.values()):
            if server.phase in leaving:
                self._stop(server, StopReason.SHUTDOWN)
        try:
            async with asyncio.timeout(self._timing.shutdown_timeout):
                while any(s.phase is not Phase.CLAIMED for s in self.pool.servers.values()):
                    self._woken.clear()
                    await self._woken.wait()
        except TimeoutError:
            left = [s.id for s in self.pool.servers.values() if s.phase is not Phase.CLAIMED]
            log.warning("could not remove in time: %s; the next start will", ", ".join(left))
        self._tasks.cancel_all()

    # One server's way: start, hand over, stop

    def _launch(self, server_id: str, after: asyncio.Task[None] | None = None) -> NotebookServer:
        now = self._clock()
        server = NotebookServer(server_id, now, created_at=now)
        self.pool.add(server)
        work = self._start(server, after)
        self._starting[server_id] = self._tasks.spawn(work, f"start of {server_id}")
        return server

    async def _start(self, server: NotebookServer, after: asyncio.Task[None] | None) -> None:
        """Bring a server to READY, or on its way out: it leaves STARTING whatever happens."""
        reason = StopReason.START_FAILED
        try:
            if after is not None:
                await asyncio.wait({after})  # its place is not free before
            await self._starter.start(server)
            self._started(server)
        except asyncio.CancelledError:
            reason = StopReason.SHUTDOWN
            raise
        finally:
            self._starting.pop(server.id, None)
            waiting = self._awaited.pop(server.id, None)
            if waiting is not None and not waiting.done():
                waiting.set_exception(SpawnerError("the notebook did not start"))
            if server.phase is Phase.STARTING:
                self._stop(server, reason)

    def _started(self, server: NotebookServer) -> None:
        waiting = self._awaited.pop(server.id, None)
        if waiting is not None:
            self.pool.claim_this(server)
            waiting.set_result(None)
        elif server.created_at <= self._drained_at:
            self._stop(server, StopReason.DRAINED)
        else:
            self.pool.move(server, Phase.READY)

    def _require_service(self) -> None:
        """Refuse before a server is spent on a visitor who could not reach it."""
        if self._closing or not self._adopted:
            self.pool.refuse()
        problem = self.health.problems.get("proxy")
        if problem is not None:
            raise ProxyError(problem.message)

    async def _give(self, server: NotebookServer) -> bool:
        """Hand a claimed server over; one that cannot be handed over is stopped."""
        reason, given = StopReason.EXITED, False
        try:
            given = await self._handover.give(server)
        except ProxyError:
            reason = StopReason.UNROUTABLE
            raise
        finally:
            if not given and server.phase is Phase.CLAIMED:
                self._stop(server, reason)
        return given

    def _stop(self, server: NotebookServer, reason: StopReason) -> asyncio.Task[None]:
        self.pool.move(server, Phase.STOPPING, reason)
        self.wake()
        return self._tasks.spawn(self._finish_stop(server), f"stop of {server.id}")

    async def _finish_stop(self, server: NotebookServer) -> None:
        """Remove route and instance, again and again until both are gone."""
        left: list[Callable[[str], Coroutine[None, None, None]]]
        left = [self._proxy.delete_route, self._spawner.stop]
        while left:
            for remove in tuple(left):
                try:
                    await remove(server.id)
                    left.remove(remove)
                except TmpnbError as error:
                    log.info("stop of %s will be tried again: %s", server.id, error)
            if left:
                await asyncio.sleep(STOP_RETRY)
        self.pool.move(server, Phase.GONE)
        self.wake()
