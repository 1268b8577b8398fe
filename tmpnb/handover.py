"""Hand a claimed server to its visitor: seen alive, routed, and marked in the engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tmpnb.clock import Clock
from tmpnb.errors import NoInstanceError, ProxyError, SpawnerError, UnreachableError
from tmpnb.health import Health
from tmpnb.http import Client
from tmpnb.proxy import Proxy
from tmpnb.server import NotebookServer, Phase
from tmpnb.spawners.base import Spawner
from tmpnb.tasks import Tasks

log = logging.getLogger(__name__)

QUESTION_TIMEOUT = 5.0  # seconds for one question in a visitor's path
MARK_TIMEOUT = 2.0  # seconds; without an answer the mark is written later
MARK_RETRY = 5.0  # seconds


class HandOver:
    """The part of a claim that reaches outside. A few milliseconds when all is well."""

    def __init__(
        self,
        *,
        spawner: Spawner,
        proxy: Proxy,
        client: Client,
        tasks: Tasks,
        health: Health,
        clock: Clock,
        ready_url: Callable[[NotebookServer], str],
    ) -> None:
        self._spawner, self._proxy, self._client = spawner, proxy, client
        self._tasks, self._health, self._clock = tasks, health, clock
        self._ready_url = ready_url
        self._unmarked: set[str] = set()  # claimed servers that the engine does not know as such

    async def give(self, server: NotebookServer) -> bool:
        """Do all three at once; False when the server turned out to be dead.

        Raises:
            ProxyError: The route could not be added.
            SpawnerError: Neither the server nor the engine answers: it is the engine that is down.
        """
        alive, refused, unmarked = await asyncio.gather(
            self.answers(server), self._route(server), self._mark(server)
        )
        if refused is not None:
            self._health.report("proxy", str(refused))
            raise refused
        if unmarked is not None:
            if not alive:
                if "engine" not in self._health.problems:
                    self._health.report("engine", str(unmarked).replace(server.id, "<id>"))
                raise unmarked
            self.mark_later(server)
        return alive and server.phase is Phase.CLAIMED

    def mark_later(self, server: NotebookServer) -> None:
        """Write a claim into the engine that it does not know yet, again and again."""
        self._tasks.spawn(self._mark_later(server), f"mark of {server.id}")

    async def answers(self, server: NotebookServer) -> bool:
        """Whether the server is alive right now."""
        try:
            answer = await self._client.fetch(self._ready_url(server), timeout=QUESTION_TIMEOUT)
        except UnreachableError as error:
            log.warning("server %s was ready and is dead: %s", server.id, error)
            return False
        return answer.code == 200

    async def _route(self, server: NotebookServer) -> ProxyError | None:
        try:
            await self._proxy.add_route(server.id, str(server.address))
        except ProxyError as error:
            return error
        return None

    async def _mark(self, server: NotebookServer) -> SpawnerError | None:
        """Write the claim into the engine, which may do so late but not in vain.

        An engine that does not answer must not turn a visitor away; until the mark
        is written, the route alone keeps the claim over a restart.
        """
        try:
            async with asyncio.timeout(MARK_TIMEOUT):
                await self._write_mark(server)
        except NoInstanceError:
            return None  # it is gone, as its silence says as well
        except SpawnerError as error:
            return error
        except TimeoutError:
            return SpawnerError(f"the engine did not mark a claim within {MARK_TIMEOUT:.0f} s")
        return None

    async def _mark_later(self, server: NotebookServer) -> None:
        self._unmarked.add(server.id)
        try:
            while True:
                await asyncio.sleep(MARK_RETRY)
                if server.phase is not Phase.CLAIMED or await self._mark_again(server):
                    return
        finally:
            self._unmarked.discard(server.id)
            if not self._unmarked:
                self._health.solved("claim")

    async def _mark_again(self, server: NotebookServer) -> bool:
        """Whether there is nothing left to do; an engine that is down has been told of."""
        try:
            await self._write_mark(server)
        except NoInstanceError:
            pass  # the next pass sees that, and stops it
        except SpawnerError as error:
            if "engine" not in self._health.problems:
                self._health.report("claim", str(error).replace(server.id, "<id>"))
            return False
        return True

    async def _write_mark(self, server: NotebookServer) -> None:
        moment = server.since if server.claimed_at is None else server.claimed_at
        await self._spawner.mark_claimed(server.id, self._clock.to_system(moment))
