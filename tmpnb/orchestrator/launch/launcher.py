"""Start servers: at most so many at once, each with a deadline, broken ones ever more rarely."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from tmpnb.core.health import Health
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import SpawnerError, StartTimeoutError, TmpnbError
from tmpnb.orchestrator.launch.readiness import wait_until_ready, warm_up
from tmpnb.orchestrator.launch.small_page import SmallPages
from tmpnb.orchestrator.launch.start_times import StartTimes
from tmpnb.spawners.base import ServerSpec, Spawner
from tmpnb.spawners.examination import FIRST_LINES, RAISE, TOO_LARGE_WORDS, home_words
from tmpnb.system.backoff import Backoff
from tmpnb.system.border import Border
from tmpnb.system.clock import Clock
from tmpnb.system.http.client import Client
from tmpnb.system.signing import TokenMaker

log = logging.getLogger(__name__)

LOGS_TIMEOUT = 5.0  # seconds to fetch the last words of a server that failed


@dataclass(frozen=True, slots=True)
class StartSettings:
    """How servers are started."""

    concurrency: int = 4  # starts at once; more than two a core make each other late
    timeout: float = 60.0  # seconds from the begin of a start to its first answer
    ready_path: str = "api"  # under the base URL; answers 200 once the server is up
    first_page: str = ""  # under the base URL; asked for once before a visitor does
    small_page: str = ""  # under the base URL; where phones and frames land, if an image has it


class Starter:
    """Brings a STARTING server to life. Moves no phases: its caller does."""

    def __init__(
        self,
        settings: StartSettings,
        *,
        spawner: Spawner,
        client: Client,
        tokens: TokenMaker,
        health: Health,
        clock: Clock,
    ) -> None:
        self._settings, self._spawner, self._client = settings, spawner, client
        self._tokens, self._health, self._clock = tokens, health, clock
        self._slots = asyncio.Semaphore(settings.concurrency)
        self.times = StartTimes(clock, settings.concurrency)
        self.backoff = Backoff()
        self._border = Border(SpawnerError)
        self._exited: set[str] = set()
        self.small_pages = SmallPages(client, settings.small_page)
        self._looked_at: set[str] = set()  # images whose first server was asked for its home

    async def start(self, server: NotebookServer) -> None:
        """Return when a server of the pool answers at its own address, which is then set.

        Raises:
            SpawnerError: It did not start, or did not answer in time. The operator has been
                told, and launches back off.
        """
        try:
            with self.times.queueing() as begin:
                async with self._slots:
                    begin(server.id)
                    await self._start(server)
        except TmpnbError as error:
            self.backoff.failed(self._clock())
            self._health.report("start", await self._in_words(server, error))
            raise
        self._succeeded()

    async def try_out(self, server: NotebookServer) -> None:
        """Do the same for a server whose failure says nothing about the pool.

        No other start has to wait for it then. It is for nobody who waits in line.

        Raises:
            SpawnerError: It did not start, or did not answer in time; with its last words.
        """
        try:
            async with self._slots:
                await self._start(server)
        except TmpnbError as error:
            raise SpawnerError(await self._in_words(server, error)) from error
        self._succeeded()

    def _succeeded(self) -> None:
        self.backoff.succeeded()
        self._health.solved("start")

    async def _start(self, server: NotebookServer) -> None:
        try:
            with self._border.crossing("starting a server"):
                await self._until_it_answers(server)
        finally:
            self._exited.discard(server.id)

    async def _until_it_answers(self, server: NotebookServer) -> None:
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        token = self._tokens.token_for(server.id)
        spec = ServerSpec(server.id, server.base_url, token, server.image)
        try:
            async with asyncio.timeout_at(deadline):
                server.address = await self._spawner.start(spec)
        except TimeoutError as error:
            raise StartTimeoutError("the engine did not start it in time") from error
        await wait_until_ready(
            self._client,
            self.ready_url(server),
            deadline,
            has_exited=lambda: server.id in self._exited,
        )

    async def make_first_page(self, server: NotebookServer) -> None:
        """Let a ready server make its first page, once no other has to be started.

        The first one of an image is also asked for the page of small screens.
        """
        path, token = self._settings.first_page, self._tokens.token_for(server.id)
        async with self._slots:
            if path and server.phase is Phase.READY:
                await warm_up(self._client, server, path, token)
            if server.phase is Phase.READY:
                await self.small_pages.look(server, token)

    async def look_at_home(self, server: NotebookServer) -> None:
        """Warn once for each image of what its servers say of their homes.

        A server that a visitor has is not asked, for a visitor may print anything.
        """
        image = server.image
        if image in self._looked_at or server.phase is not Phase.READY:
            return
        self._looked_at.add(image)
        printed: str | None
        try:
            async with asyncio.timeout(LOGS_TIMEOUT):
                with self._border.crossing("reading what it printed"):
                    printed = await self._spawner.logs(server.id, FIRST_LINES)
        except (TmpnbError, TimeoutError) as error:
            log.debug("home of server %s is not known: %s", server.id, error)
            printed = None
        if printed is None or server.phase is not Phase.READY:
            self._looked_at.discard(image)  # the next one is asked
        elif words := home_words(printed.splitlines()):
            mend = f"; {RAISE}" if TOO_LARGE_WORDS in words else ""
            log.warning("servers lack files image=%s: %s%s", image or "-", words, mend)

    def give_up(self, server_id: str) -> None:
        """Wait no longer for a server whose instance was seen to have ended."""
        self._exited.add(server_id)

    def ready_url(self, server: NotebookServer) -> str:
        """Return the URL that answers 200 while the server is alive."""
        return f"{server.address}{server.base_url}{self._settings.ready_path}"

    async def _in_words(self, server: NotebookServer, error: TmpnbError) -> str:
        """Say what failed without what differs each time, so that a lasting fault is said once."""
        try:
            async with asyncio.timeout(LOGS_TIMEOUT):
                with self._border.crossing("reading what it printed"):
                    tail = (await self._spawner.logs(server.id)).strip()
        except (TmpnbError, TimeoutError):
            tail = ""
        said = f"; its last lines:\n{tail}" if tail else "; it printed nothing"
        log.debug("server %s failed to start: %s", server.id, error)
        words = str(error).replace(server.id, "<id>").replace(server.address or "<address>", "")
        return f"a server failed to start: {words}{said}"
