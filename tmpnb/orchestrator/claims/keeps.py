"""Keep visitors' servers as asked: their idle clocks begin anew, over a restart as well."""

from __future__ import annotations

from collections.abc import Iterable

from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.orchestrator.claims.claim_journal import Journal
from tmpnb.system.clock import Clock


class Keeps:
    """When each server was last kept. Synchronous."""

    def __init__(self, pool: Pool, clock: Clock, journal: Journal | None) -> None:
        """Keep what is needed.

        Args:
            pool: The servers there are.
            clock: Unix time in seconds.
            journal: Where it outlives this process; None: it does not.
        """
        self._pool, self._clock, self._journal = pool, clock, journal
        self._noted: set[str] = set()

    def keep(self, server: NotebookServer) -> None:
        """Let the idle clock of a claimed server begin anew; its age goes on."""
        self.use(server)
        if self._journal is None:
            return
        for server_id in tuple(self._noted):
            if not self._is_claimed(server_id):
                self._journal.settle(server_id)
                self._noted.discard(server_id)
        if self._journal.note(server.id, self._clock.to_system(server.kept_at or 0.0)):
            self._noted.add(server.id)

    def use(self, server: NotebookServer) -> None:
        """Let the idle clock begin anew for use of just now, which promises nothing for later."""
        server.kept_at = self._clock()

    def restore(self, servers: Iterable[NotebookServer]) -> None:
        """Give adopted servers what a former orchestrator wrote down, and forget others."""
        if self._journal is None:
            return
        found, now = self._journal.read(), self._clock()
        kept = [server for server in servers if server.id in found]
        self._journal.begin({server.id: found[server.id] for server in kept})
        for server in kept:
            server.kept_at = min(now, self._clock.from_system(found[server.id]))
            self._noted.add(server.id)

    def _is_claimed(self, server_id: str) -> bool:
        server = self._pool.servers.get(server_id)
        return server is not None and server.phase is Phase.CLAIMED
