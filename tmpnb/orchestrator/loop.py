"""Keep the pool as it should be: observe, plan, apply; and hand servers to visitors.

One loop owns all state. Everything it starts lives in one task group; every wait on
the outside has a deadline. What it must decide is in `reconcile`, which is pure.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial

from tmpnb.core.observation import Observation
from tmpnb.core.plan import Plan, Policy, plan
from tmpnb.core.server import NotebookServer
from tmpnb.orchestrator.adoption import take_over
from tmpnb.orchestrator.assembly import Parts
from tmpnb.orchestrator.watch import watch
from tmpnb.orchestrator.wind_down import wind_down

log = logging.getLogger(__name__)

LONGEST_CROWD = 5.0  # seconds that a pass, and the starts in it, wait for a pause of the visitors
SHORTEST_PAUSE = 0.05  # seconds between passes
PASS_SHARE = 0.2  # of the time, at most, that passes take
BROKEN = "pass"  # topic of health: a pass broke off for a reason that nobody foresaw
STARTING_PAUSE = 2.0  # seconds between passes while a server starts, or nothing could be read yet


class Orchestrator:
    """Owns the pool; the only one that starts, claims and stops servers."""

    def __init__(self, parts: Parts) -> None:
        """Keep the parts, of which nothing runs yet."""
        self.parts = parts
        self.pool, self.claims, self.rollout = parts.pool, parts.claims, parts.rollout
        self.health, self.tokens = parts.shared.health, parts.shared.signer
        self._policy, self._timing = parts.settings.policy, parts.settings.timing
        self._stage, self._tasks, self._lifecycle = parts.stage, parts.tasks, parts.lifecycle
        self._launcher, self._changes, self._clock = (
            parts.launcher,
            parts.changes,
            parts.shared.clock,
        )
        self._looking: asyncio.Task[None] | None = None  # the pass that is under way
        self._stop_claimed = False

    # For visitors and operators

    @property
    def image(self) -> str:
        """The image that new servers are started from; empty where engines have none."""
        return self.rollout.image

    @property
    def name(self) -> str:
        """The name of the pool, unique within its engine."""
        return self.parts.shared.spawner.pool_name

    @property
    def adopted(self) -> bool:
        """Whether it knows which servers a previous orchestrator handed out."""
        return self._stage.adopted

    def readiness(self) -> dict[str, bool]:
        """Return what a visitor needs, and whether it is there."""
        return self.parts.bars.readiness(self.pool, adopted=self._stage.adopted)

    def small_page(self, server: NotebookServer) -> str:
        """Return where phones and frames land on a server; empty: same as others."""
        return self._launcher.small_pages.of(server.image)

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
        if self._stage.adopted and not self._stage.closing:
            self.parts.culling.begin()

    def wake(self) -> None:
        """Start the next pass now instead of at the end of the interval."""
        self._changes.begin_pass()

    def shutdown(self, *, stop_claimed: bool) -> None:
        """End `run`: unclaimed servers are stopped, claimed ones only if `stop_claimed`."""
        self._stage.closing, self._stop_claimed = True, stop_claimed
        if self._looking is not None:
            self._looking.cancel()
        self.wake()

    # The loop

    async def run(self) -> None:
        """Reconcile until `shutdown`, then remove what must go, within a deadline."""
        async with self._tasks:
            while not self._stage.closing:
                begun = asyncio.get_running_loop().time()
                work = watch(self.health, partial(self.parts.meters.passes.of, self._pass), BROKEN)
                self._looking = self._tasks.spawn(work, "pass")
                await asyncio.wait({self._looking})
                await self._pause(asyncio.get_running_loop().time() - begun)
            await self._wind_down()
        self.parts.shared.client.close()

    async def _pause(self, pass_took: float) -> None:
        # What comes together is done in one pass; and the longer an engine takes to tell
        # of its many servers, the more rarely it is asked.
        rest = min(pass_took * (1 / PASS_SHARE - 1), STARTING_PAUSE)
        await asyncio.sleep(max(SHORTEST_PAUSE, rest))
        backoff = self._launcher.backoff
        seconds = self._timing.reconcile_interval
        if self._lifecycle.starting or not self._stage.adopted:
            seconds = min(seconds, STARTING_PAUSE)
        if backoff.failures:
            seconds = min(seconds, max(0.1, backoff.due - self._clock()))
        try:
            async with asyncio.timeout(seconds):
                await self._changes.wait()
        except TimeoutError:
            pass
        await self.parts.quiet.pause(
            LONGEST_CROWD, lambda: self._stage.closing or self.claims.urgent
        )
        self._changes.taken_in()

    async def _pass(self) -> None:
        culling, observer = self.parts.culling, self.parts.observer
        judges = culling.take_due()
        seen = await observer.observe(self.pool.servers.values())
        self.parts.bars.look(self.image)
        if judges:
            servers = tuple(self.pool.servers.values())
            seen = culling.added_to(seen)
            seen = await observer.with_burning(seen, servers, self._policy.max_burning)
        seen = seen.without(self.pool.gone_since(seen.taken_at))
        if not self._stage.closing:
            self._apply(plan(seen, self.pool.servers, self._policy_after_adopting(seen)))
            self.health.passed()
            self._changes.tell(pass_now=False)

    def _policy_after_adopting(self, seen: Observation) -> Policy:
        """Adopt what a previous orchestrator left; at first nothing is too young to judge."""
        if self._stage.adopted:
            return self._policy
        take_over(seen, self.pool, self.parts.claim_writer, self.parts.keeps)
        self._stage.adopted = True
        return replace(self._policy, grace=0.0)

    def _apply(self, todo: Plan) -> None:
        for server_id, reason in todo.stop.items():
            server = self.pool.servers.get(server_id)
            if server is None:  # carries our labels, but we do not know its history
                server = NotebookServer(server_id, self._clock(), created_at=self._clock())
                self.pool.add(server)
            self._lifecycle.stop(server, reason)
        for server_id in todo.give_up:
            self._launcher.give_up(server_id)
        proxy = self.parts.shared.proxy
        for server_id, target in todo.add_routes.items():
            self.pool.servers[server_id].address = target
            self._tasks.spawn(proxy.add_route(server_id, target), f"route of {server_id}")
        for server_id in todo.delete_routes:
            self._tasks.spawn(proxy.delete_route(server_id), f"route of {server_id}")
        backoff, under_way = self._launcher.backoff, self._lifecycle.starting
        launch = todo.launch if self.parts.bars.may_start(self.image) else 0
        for _ in range(backoff.allowed(launch, under_way, self._clock())):
            self._lifecycle.launch(self._timing.new_id(), self.image)

    async def _wind_down(self) -> None:
        await asyncio.sleep(0)  # a task cancelled before its first step would clean up nothing
        self._lifecycle.cancel_starts()
        if not self._stop_claimed:
            await self.parts.claim_writer.flush()
        await wind_down(
            self.pool,
            self._lifecycle,
            stop_claimed=self._stop_claimed,
            changes=self._changes,
            patience=self._timing.shutdown_timeout,
        )
        self._tasks.cancel_all()
