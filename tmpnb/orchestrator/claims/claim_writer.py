"""Write claims into the engine: after the crowd, and again until it knows them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import NoInstanceError, SpawnerError
from tmpnb.orchestrator.claims.claim_journal import Journal
from tmpnb.orchestrator.claims.quiet import Crowd
from tmpnb.orchestrator.shared import Shared
from tmpnb.system.tasks import Tasks

WRITE_TIMEOUT = 2.0  # seconds; without an answer the mark is written later
RETRY = 5.0  # seconds
LONGEST_WAIT = 5.0  # seconds that a crowd keeps a mark waiting
FLUSH_TIMEOUT = 5.0  # seconds at the end; the journal has what is left


class Marks:
    """The claims that the engine does not know as such yet."""

    def __init__(
        self,
        shared: Shared,
        tasks: Tasks,
        journal: Journal | None,
        crowd: Crowd,
    ) -> None:
        """Keep what is needed.

        Args:
            shared: The engine, which keeps marks; what is wrong; and the time.
            tasks: Those that write marks.
            journal: Keeps them until then; None: visitors wait for the engine.
            crowd: Those for whom the engine has to wait.
        """
        self._spawner, self._health, self._clock = shared.spawner, shared.health, shared.clock
        self._tasks, self._journal, self._crowd = tasks, journal, crowd
        self._waiting: deque[NotebookServer] = deque()
        self._writing = False
        # Of one id there may be a server that leaves and one that came after it.
        self._noted: dict[str, NotebookServer] = {}  # whose the claim in the journal is
        self._tried_again = 0

    def read(self) -> Mapping[str, float]:
        """Return the claims that a former orchestrator wrote down, Unix time in seconds, by id."""
        found = self._journal.read() if self._journal else {}
        return {server_id: self._clock.from_system(moment) for server_id, moment in found.items()}

    def begin(self, servers: Mapping[str, NotebookServer]) -> None:
        """Take over adopted servers that the engine does not know as claimed, and forget others."""
        if self._journal:
            self._journal.begin({i: self._moment(server) for i, server in servers.items()})
            self._noted = dict(servers)
        for server in servers.values():
            self.later(server)

    def soon(self, server: NotebookServer) -> bool:
        """Keep a claim in the journal and write it into the engine soon; False: not possible."""
        if self._journal is None or not self._journal.note(server.id, self._moment(server)):
            return False
        self._noted[server.id] = server
        self._waiting.append(server)
        if not self._writing:
            self._writing = True
            self._tasks.spawn(self._write_waiting(), "marks")
        return True

    async def write(self, server: NotebookServer) -> SpawnerError | None:
        """Write the claim into the engine, which may do so late but not in vain.

        An engine that does not answer must not turn a visitor away; until the mark is
        written, the journal and the route keep the claim over a restart.
        """
        try:
            async with asyncio.timeout(WRITE_TIMEOUT):
                await self._write(server)
        except NoInstanceError:
            return None  # it is gone, as its silence says as well
        except SpawnerError as error:
            return error
        except TimeoutError:
            return SpawnerError(f"the engine did not mark a claim within {WRITE_TIMEOUT:.0f} s")
        return None

    def later(self, server: NotebookServer) -> None:
        """Write a claim that the engine did not take, again and again."""
        self._tasks.spawn(self._write_again(server), f"mark of {server.id}")

    async def flush(self) -> None:
        """Write what waits, as far as the engine takes it in a few seconds."""
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT):
                while self._waiting:
                    await self._write_next()
        except TimeoutError:
            pass

    async def _write_waiting(self) -> None:
        """Write one after the other; while visitors come, wait for a pause."""
        try:
            while self._waiting:
                waited = self._clock() - self._waiting[0].since
                await self._crowd.pause(LONGEST_WAIT - waited)
                if self._waiting:  # `flush` writes too
                    await self._write_next()
        finally:
            self._writing = False

    async def _write_next(self) -> None:
        server = self._waiting.popleft()
        if server.phase is Phase.CLAIMED and await self.write(server) is not None:
            self.later(server)
        else:
            self._settle(server)

    async def _write_again(self, server: NotebookServer) -> None:
        self._tried_again += 1
        try:
            while True:
                await asyncio.sleep(RETRY)
                if server.phase is not Phase.CLAIMED or await self._is_written(server):
                    self._settle(server)
                    return
        finally:
            self._tried_again -= 1
            if not self._tried_again:
                self._health.solved("claim")

    async def _is_written(self, server: NotebookServer) -> bool:
        """Whether there is nothing left to do; an engine that is down has been told of."""
        error = await self.write(server)  # one that is gone, the next pass sees, and stops
        if error is not None and "engine" not in self._health.problems:
            self._health.report("claim", str(error).replace(server.id, "<id>"))
        return error is None

    def _settle(self, server: NotebookServer) -> None:
        if self._journal and self._noted.get(server.id) is server:
            del self._noted[server.id]
            self._journal.settle(server.id)

    async def _write(self, server: NotebookServer) -> None:
        await self._spawner.mark_claimed(server.id, self._moment(server))

    def _moment(self, server: NotebookServer) -> float:
        """Return when a server was claimed, by the system's clock."""
        moment = server.since if server.claimed_at is None else server.claimed_at
        return self._clock.to_system(moment)
