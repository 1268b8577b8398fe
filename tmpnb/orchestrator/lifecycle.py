"""Start and stop servers: each belongs to one task until it is ready, and until it is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from enum import Enum, auto

from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import NoPlaceError, SpawnerError, TmpnbError
from tmpnb.orchestrator.changes import Changes
from tmpnb.orchestrator.launch.launcher import Starter
from tmpnb.orchestrator.shared import Shared
from tmpnb.system.tasks import Tasks

log = logging.getLogger(__name__)

STOP_RETRY = 2.0  # seconds between tries to remove a server
STOP_TIMEOUT = 300.0  # seconds for one try, with the wait for its turn; drivers give up sooner
PLACE_TIMEOUT = 30.0  # seconds that a start waits for the place of another server

_Launch = asyncio.Task[NotebookServer | SpawnerError | None]  # None: of a bug, which is logged


class Purpose(Enum):
    """Whom a server is started for."""

    POOL = auto()  # for anybody; a failure keeps other starts waiting
    TRIAL = auto()  # for anybody, to see whether it can be done
    VISITOR = auto()  # for one who has it from its first answer on


class Fleet:
    """Carries out what the orchestrator decides about single servers."""

    def __init__(
        self, shared: Shared, pool: Pool, starter: Starter, tasks: Tasks, changes: Changes
    ) -> None:
        """Keep what is needed.

        Args:
            shared: The engine and the proxy, which forget servers; and what is wrong.
            pool: The servers there are.
            starter: Brings them up.
            tasks: Where each start and stop runs.
            changes: Is told when a server has entered another phase.
        """
        self._spawner, self._proxy, self._health = shared.spawner, shared.proxy, shared.health
        self._clock, self._pool, self._starter = shared.clock, pool, starter
        self._tasks, self._changes = tasks, changes
        self._stuck: set[str] = set()  # servers whose removal has failed and goes on
        self._starts: dict[str, _Launch] = {}

    @property
    def starting(self) -> int:
        """How many starts are under way."""
        return len(self._starts)

    def launch(self, server_id: str, image: str) -> None:
        """Start a server for the pool."""
        self._begin(server_id, image, Purpose.POOL)

    async def launch_claimed(
        self, server_id: str, image: str, after: asyncio.Task[None] | None = None
    ) -> NotebookServer:
        """Start a server for one visitor; return it once it is up, claimed.

        Args:
            server_id: Its id.
            image: What it is started from.
            after: The stop that makes place for it, if one has to.

        Raises:
            NoPlaceError: The place did not become free in time.
            SpawnerError: It did not start, and is being removed. This counts for nobody but
                the visitor: the pool's own starts go on.
        """
        return await _outcome(self._begin(server_id, image, Purpose.VISITOR, after))

    async def launch_on_trial(
        self, server_id: str, image: str, after: asyncio.Task[None] | None = None
    ) -> None:
        """Start a server to see whether it can be done; return once it is ready for anybody.

        Args:
            server_id: Its id.
            image: What it is started from.
            after: The stop that makes place for it, if one has to.

        Raises:
            NoPlaceError: The place did not become free in time.
            SpawnerError: It did not start, and is being removed; with its last words. This
                counts for nobody but the caller: other starts go on.
        """
        await _outcome(self._begin(server_id, image, Purpose.TRIAL, after))

    def stop(self, server: NotebookServer, reason: StopReason) -> asyncio.Task[None]:
        """Begin to remove a server; the task ends when it is gone."""
        self._pool.move(server, Phase.STOPPING, reason)
        self._changes.tell()
        return self._tasks.spawn(self._finish_stop(server), f"stop of {server.id}")

    def cancel_starts(self) -> None:
        """Give up all starts; what they made is removed."""
        for start in tuple(self._starts.values()):
            start.cancel()

    def _begin(
        self,
        server_id: str,
        image: str,
        purpose: Purpose,
        after: asyncio.Task[None] | None = None,
    ) -> _Launch:
        now = self._clock()
        server = NotebookServer(server_id, now, created_at=now, image=image)
        self._pool.add(server)
        launch = self._tasks.spawn(self._launch(server, purpose, after), f"start of {server_id}")
        self._starts[server_id] = launch
        return launch

    async def _launch(
        self, server: NotebookServer, purpose: Purpose, after: asyncio.Task[None] | None
    ) -> NotebookServer | SpawnerError:
        """Bring a server up, or on its way out: it leaves STARTING whatever happens.

        Returns:
            It, or why it did not start.
        """
        reason = StopReason.START_FAILED
        try:
            await _place_of(after)
            if purpose is Purpose.POOL:
                await self._starter.start(server)
            else:
                await self._starter.try_out(server)
            if purpose is Purpose.VISITOR:
                self._pool.claim_this(server)
            else:
                self._pool.move(server, Phase.READY)
        except SpawnerError as error:
            log.debug("start of %s: %s", server.id, error)  # its own report stands in `Health`
            return error
        except asyncio.CancelledError:
            reason = StopReason.SHUTDOWN
            raise
        finally:
            del self._starts[server.id]
            if server.phase is Phase.STARTING:
                self.stop(server, reason)
            elif server.phase is Phase.READY:
                self._is_ready(server)
            else:
                self._changes.tell()
        return server

    def _is_ready(self, server: NotebookServer) -> None:
        """Let the server prepare for its visitor, and serve who waits for one.

        While others start, passes come soon anyway: one for each of many that come up would
        take from the engine what it needs to start the next.
        """
        self._tasks.spawn(self._starter.make_first_page(server), f"page of {server.id}")
        self._tasks.spawn(self._starter.look_at_home(server), f"home of {server.id}")
        drains = any(other.drained for other in self._pool.servers.values())
        self._changes.tell(pass_now=not self.starting or drains)

    async def _finish_stop(self, server: NotebookServer) -> None:
        """Remove route and instance, again and again until both are gone."""
        left: list[Callable[[str], Coroutine[None, None, None]]]
        left = [self._proxy.delete_route, self._spawner.stop]
        again = False
        while left:
            for remove in tuple(left):
                try:
                    async with asyncio.timeout(STOP_TIMEOUT):
                        await remove(server.id)
                    left.remove(remove)
                except TmpnbError as error:
                    self._report(server, error, again=again)
                except TimeoutError:
                    late = SpawnerError(f"no answer within {STOP_TIMEOUT:.0f} s")
                    self._report(server, late, again=again)
            if left:
                await asyncio.sleep(STOP_RETRY)
            again = True
        self._stuck.discard(server.id)
        if not self._stuck:
            self._health.solved("stop")
        self._pool.move(server, Phase.GONE)
        self._changes.tell()

    def _report(self, server: NotebookServer, error: TmpnbError, *, again: bool) -> None:
        """Say once that servers cannot be removed.

        Not at the first failure: an engine or a proxy that is down is told of meanwhile,
        and this follows from it.
        """
        log.debug("stop of %s will be tried again: %s", server.id, error)
        self._stuck.add(server.id)
        if again and not self._health.problems.keys() & {"engine", "proxy"}:
            words = str(error).replace(server.id, "<id>")
            self._health.report("stop", f"a server cannot be removed, and is tried again: {words}")


async def _place_of(leaving: asyncio.Task[None] | None) -> None:
    """Wait until a server that makes place is gone, however its removal goes.

    Raises:
        NoPlaceError: It was not, for as long as somebody may be kept waiting; its removal
            goes on.
    """
    if leaving is None:
        return
    done, _ = await asyncio.wait({leaving}, timeout=PLACE_TIMEOUT)
    if not done:
        raise NoPlaceError(
            f"the server that was to make place could not be removed within {PLACE_TIMEOUT:.0f} s"
        )


async def _outcome(launch: _Launch) -> NotebookServer:
    """Return the server of a launch, which goes on if nobody waits for it any more.

    Raises:
        SpawnerError: It did not start.
    """
    await asyncio.wait({launch})
    outcome = None if launch.cancelled() else launch.result()
    if isinstance(outcome, NotebookServer):
        return outcome
    raise outcome or SpawnerError("the notebook did not start")
