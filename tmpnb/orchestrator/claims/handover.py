"""Hand a claimed server to its visitor: seen alive, routed, and marked in the engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import ProxyError, UnreachableError
from tmpnb.orchestrator.claims.claim_writer import Marks
from tmpnb.orchestrator.claims.quiet import Crowd
from tmpnb.orchestrator.shared import Shared

log = logging.getLogger(__name__)

QUESTION_TIMEOUT = 5.0  # seconds for one question in a visitor's path


class HandOver:
    """The part of a claim that reaches outside. A few milliseconds when all is well."""

    def __init__(
        self,
        shared: Shared,
        marks: Marks,
        crowd: Crowd,
        ready_url: Callable[[NotebookServer], str],
    ) -> None:
        self._proxy, self._client, self._health = shared.proxy, shared.client, shared.health
        self._marks, self._crowd, self._ready_url = marks, crowd, ready_url

    async def give(self, server: NotebookServer) -> bool:
        """Do all three; False when the server turned out to be dead.

        The mark is in the journal before the visitor gets an answer, and in the engine soon
        after; without a journal it is written while the visitor waits.

        Raises:
            ProxyError: The route could not be added.
            SpawnerError: Neither the server nor the engine answers: it is the engine that is down.
        """
        with self._crowd.visitor():
            noted = self._marks.soon(server)
            alive, refused, unmarked = await asyncio.gather(
                self.answers(server),
                self._route(server),
                asyncio.sleep(0) if noted else self._marks.write(server),
            )
            if refused is not None:
                self._health.report("proxy", str(refused))
                raise refused
            if noted and not alive:  # is it the engine?
                unmarked = await self._marks.write(server)
            if unmarked is not None:
                if not alive:
                    if "engine" not in self._health.problems:
                        self._health.report("engine", str(unmarked).replace(server.id, "<id>"))
                    raise unmarked
                self._marks.later(server)
        return alive and server.phase is Phase.CLAIMED

    async def answers(self, server: NotebookServer) -> bool:
        """Whether the server is alive right now."""
        try:
            answer = await self._client.fetch(
                self._ready_url(server), timeout=QUESTION_TIMEOUT, head_only=True
            )
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
