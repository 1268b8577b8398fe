"""Start and stop servers: each belongs to one task until it is ready, and until it is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from tmpnb.clock import Clock
from tmpnb.errors import NoPlaceError, SpawnerError, TmpnbError
from tmpnb.health import Health
from tmpnb.pool import Pool
from tmpnb.proxy import Proxy
from tmpnb.server import NotebookServer, Phase, StopReason
from tmpnb.spawners.base import Spawner
from tmpnb.starter import Starter
from tmpnb.tasks import Tasks

log = logging.getLogger(__name__)

STOP_RETRY = 2.0  # seconds between tries to remove a server
STOP_TIMEOUT = 300.0  # seconds for one try, with the wait for its turn; drivers give up sooner
PLACE_TIMEOUT = 30.0  # seconds that a start waits for the place of another server


class Fleet:
    """Carries out the orchestrator's decisions about individual servers."""

    def __init__(
        self,
        *,
        pool: Pool,
        spawner: Spawner,
        proxy: Proxy,
        starter: Starter,
        tasks: Tasks,
        health: Health,
        clock: Clock,
        changed: Callable[[], None],
        came_up: Callable[[], None],
    ) -> None:
        """Store the dependencies.

        Args:
            pool: The servers there are.
            spawner: Removes them.
            proxy: Forgets them.
            starter: Brings them up.
            tasks: Where each start and stop runs.
            health: Is told when a server cannot be removed.
            clock: Unix time in seconds.
            changed: Called when a server has left a phase, unless it came up.
            came_up: Called when a server is ready.
        """
        self._pool, self._spawner, self._proxy = pool, spawner, proxy
        self._starter, self._tasks, self._clock = starter, tasks, clock
        self._health, self.changed, self._came_up = health, changed, came_up
        self._stuck: set[str] = set()  # servers whose removal has failed and goes on
        self._starts: dict[str, asyncio.Task[None]] = {}
        self._awaited: dict[str, asyncio.Future[None]] = {}  # starts that someone waits for

    @property
    def starting(self) -> int:
        """How many starts are under way."""
        return len(self._starts)

    def launch(self, server_id: str, image: str) -> None:
        """Start a server for the pool."""
        self._begin(server_id, image, self._make_ready)

    async def launch_claimed(
        self, server_id: str, image: str, after: asyncio.Task[None] | None = None
    ) -> NotebookServer:
        """Start a server for one visitor; return it once it is up, claimed.

        Args:
            server_id: Its id.
            image: What it is started from.
            after: The stop that makes room for it, if one has to.

        Raises:
            NoPlaceError: The place did not become free in time.
            SpawnerError: It did not start, and is being removed. This counts for nobody but
                the visitor: the pool's own starts go on.
        """
        up = self._pool.claim_this
        return await self._launch_awaited(server_id, image, up, after, trial=True)

    async def launch_on_trial(
        self, server_id: str, image: str, after: asyncio.Task[None] | None = None
    ) -> None:
        """Start a server as a test; return once it is ready.

        Args:
            server_id: Its id.
            image: What it is started from.
            after: The stop that makes room for it, if one has to.

        Raises:
            NoPlaceError: The place did not become free in time.
            SpawnerError: It did not start, and is being removed; with its last words. This
                counts for nobody but the caller: other starts go on.
        """
        await self._launch_awaited(server_id, image, self._make_ready, after, trial=True)

    def stop(self, server: NotebookServer, reason: StopReason) -> asyncio.Task[None]:
        """Start removing a server; the task ends when it is gone."""
        self._pool.move(server, Phase.STOPPING, reason)
        self.changed()
        return self._tasks.spawn(self._finish_stop(server), f"stop of {server.id}")

    def cancel_starts(self) -> None:
        """Cancel all starts; what they created is removed."""
        for start in tuple(self._starts.values()):
            start.cancel()

    async def _launch_awaited(
        self,
        server_id: str,
        image: str,
        up: Callable[[NotebookServer], None],
        after: asyncio.Task[None] | None,
        *,
        trial: bool = False,
    ) -> NotebookServer:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[server_id] = done
        server = self._begin(server_id, image, up, after, trial=trial)
        await asyncio.shield(done)
        return server

    def _begin(
        self,
        server_id: str,
        image: str,
        up: Callable[[NotebookServer], None],
        after: asyncio.Task[None] | None = None,
        *,
        trial: bool = False,
    ) -> NotebookServer:
        now = self._clock()
        server = NotebookServer(server_id, now, created_at=now, image=image)
        self._pool.add(server)
        work = self._start(server, up, after, trial=trial)
        self._starts[server_id] = self._tasks.spawn(work, f"start of {server_id}")
        return server

    async def _start(
        self,
        server: NotebookServer,
        up: Callable[[NotebookServer], None],
        after: asyncio.Task[None] | None,
        *,
        trial: bool,
    ) -> None:
        """Start a server or get rid of it: it leaves STARTING whatever happens."""
        reason = StopReason.START_FAILED
        failure = SpawnerError("the notebook did not start")
        try:
            await _place_of(after)
            await self._starter.start(server, trial=trial)
            up(server)
        except SpawnerError as error:
            failure = error
            raise
        except asyncio.CancelledError:
            reason = StopReason.SHUTDOWN
            raise
        finally:
            del self._starts[server.id]
            self._tell(server.id, failure if server.phase is Phase.STARTING else None)
            if server.phase is Phase.STARTING:
                self.stop(server, reason)
            if server.phase is Phase.READY:
                self._tasks.spawn(self._starter.make_first_page(server), f"page of {server.id}")
                self._tasks.spawn(self._starter.look_at_home(server), f"home of {server.id}")
                self._came_up()
            else:
                self.changed()

    def _make_ready(self, server: NotebookServer) -> None:
        self._pool.move(server, Phase.READY)

    def _tell(self, server_id: str, failure: SpawnerError | None) -> None:
        """Notify whoever waits for a start."""
        waiting = self._awaited.pop(server_id, None)
        if waiting is None or waiting.done():
            return
        if failure is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(failure)

    async def _finish_stop(self, server: NotebookServer) -> None:
        """Remove route and instance, retrying until both are gone."""
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
        self.changed()

    def _report(self, server: NotebookServer, error: TmpnbError, *, again: bool) -> None:
        """Report once that servers cannot be removed.

        Not at the first failure: an engine or a proxy that is down is reported meanwhile,
        and this follows from it.
        """
        log.debug("stopping %s failed, retrying later: %s", server.id, error)
        self._stuck.add(server.id)
        if again and not self._health.problems.keys() & {"engine", "proxy"}:
            words = str(error).replace(server.id, "<id>")
            self._health.report("stop", f"cannot remove a server, retrying: {words}")


async def _place_of(leaving: asyncio.Task[None] | None) -> None:
    """Wait until a server that makes room is gone, however its removal goes.

    Raises:
        NoPlaceError: It was not, for as long as someone may be kept waiting; its removal
            goes on.
    """
    if leaving is None:
        return
    done, _ = await asyncio.wait({leaving}, timeout=PLACE_TIMEOUT)
    if not done:
        raise NoPlaceError(
            f"the server that was to make room could not be removed within {PLACE_TIMEOUT:.0f} s"
        )
