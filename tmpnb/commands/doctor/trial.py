"""Start one server as the pool would, examine it, and remove it whatever happens."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from tmpnb.commands.doctor import network, verify
from tmpnb.commands.doctor.diagnosis import TOPIC, Evidence, diagnose
from tmpnb.commands.doctor.verify import Visited
from tmpnb.core.health import Health
from tmpnb.core.server import NotebookServer
from tmpnb.errors import SpawnerError, StartTimeoutError, TmpnbError
from tmpnb.orchestrator.launch.launcher import Launcher
from tmpnb.settings.service import Service
from tmpnb.spawners.base import Spawner
from tmpnb.spawners.examination import (
    FIRST_LINES,
    RAISE,
    TOO_LARGE_WORDS,
    Examination,
    ServerFacts,
    home_words,
)
from tmpnb.spawners.finding import Finding, failure, ok, skip, warn
from tmpnb.system.clock import SteadyClock
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.system.signing import Signer

POOL = "_check"  # no operator can name a pool so: `settings.pool_name` refuses it
LOOK = 0.5  # seconds between two looks whether the server still runs
LOGS = 5.0  # seconds to fetch its last words
LINES = 10  # of these
REMOVAL = 60.0  # seconds for one try to remove it
TRIES = 3
LEFT_OVER = 3600.0  # seconds after which a server of ours belongs to nobody any more


async def findings(
    service: Service, examination: Examination, places: Sequence[str] | None = None
) -> AsyncGenerator[Finding, None]:
    """Yield what is found with a server of the pool `POOL`, which the spawner must be set to.

    Args:
        service: The settings.
        examination: Of the engine.
        places: Try as well what a server reaches, and these, host:port. None: try nothing.
    """
    server = NotebookServer(service.timing.new_id(), since=time.time())
    trial = _Trial(service, examination, server, places)
    try:
        await service.spawner.setup()
        await _remove_left_over(service)
        if service.spawner.image:  # what a start does not wait for
            await service.spawner.prepare(service.spawner.image)
    except TmpnbError as error:
        yield failure("setup", str(error), "check the engine's own log")
        for finding in skipped("needs a working engine"):
            yield finding
        return
    async with _Removal(service.spawner, server.id) as removal, aclosing(trial.run()) as found:
        async for finding in found:
            yield finding
    if removal.problem:
        yield warn("removal", f"server {server.id} is still there: {removal.problem}")


def on_trial(spawner: Spawner) -> None:
    """Give a spawner a pool of its own, of which nothing stays."""
    spawner.pool, spawner.fleeting = replace(spawner.pool, name=POOL), True


def skipped(why: str) -> list[Finding]:
    """Return what `findings` would have found out."""
    return [skip(topic, why) for topic in (TOPIC, *verify.TOPICS)]


class _Trial:
    """One server from its start until all is known."""

    def __init__(
        self,
        service: Service,
        examination: Examination,
        server: NotebookServer,
        places: Sequence[str] | None,
    ) -> None:
        self._service, self._examination, self._server = service, examination, server
        self._places = places
        self._client = Client(MAX_ANSWER)
        self._tokens = Signer(secrets.token_bytes(32))  # for this server alone
        clock = SteadyClock()
        self._launcher = Launcher(
            service.starts,
            spawner=service.spawner,
            client=self._client,
            tokens=self._tokens,
            health=Health(clock),
            clock=clock,
        )

    async def run(self) -> AsyncGenerator[Finding, None]:
        """Yield a finding for the start, then those about the server that runs."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            error = await self._start()
            if error is not None:
                yield diagnose(await self._evidence(error))
                for topic in verify.TOPICS:
                    yield skip(topic, "needs a server that starts")
                if self._places is not None:
                    yield skip(network.TOPIC, "needs a server that starts")
                return
            seconds = loop.time() - begin
            yield ok(TOPIC, f"a server responds {seconds:.1f} s after its start was requested")
            server, facts = self._visited(), await self._facts()
            async with aclosing(
                verify.findings(server, self._service.redirect_uri, facts)
            ) as found:
                async for finding in found:
                    yield finding
            if (home := home_finding(await self._printed(FIRST_LINES))) is not None:
                yield home
            if self._places is not None:
                async with aclosing(self._reach(self._places)) as found:
                    async for finding in found:
                        yield finding
        finally:
            self._client.close()

    async def _reach(self, places: Sequence[str]) -> AsyncGenerator[Finding, None]:
        """Yield what the server reaches; there is another one meanwhile."""
        service, server = self._service, self._server
        other = NotebookServer(service.timing.new_id(), since=time.time())
        async with _Removal(service.spawner, other.id):
            try:
                await self._launcher.start(other)
            except SpawnerError as error:
                yield skip(network.TOPIC, f"needs another server: {error}")
                return
            async with aclosing(
                network.findings(service, self._examination, server.id, other.id, places)
            ) as found:
                async for finding in found:
                    yield finding

    async def _start(self) -> SpawnerError | None:
        """Return why the server did not start; None if it did."""
        watching = asyncio.create_task(self._give_up_when_it_ends())
        try:
            await self._launcher.start(self._server)
        except SpawnerError as error:
            return error
        finally:
            watching.cancel()
            await asyncio.wait({watching})
        return None

    async def _give_up_when_it_ends(self) -> None:
        """Tell the launcher when the server stops running; cancelled when the start is over."""
        spawner, server = self._service.spawner, self._server
        while True:
            await asyncio.sleep(LOOK)
            if server.address is None:
                continue
            with suppress(SpawnerError):
                listed = await spawner.list()
                if not any(one.server_id == server.id and one.running for one in listed):
                    self._launcher.give_up(server.id)

    async def _evidence(self, error: SpawnerError) -> Evidence:
        server, visited = self._server, self._visited()
        ready_path = f"{server.base_url}{self._service.starts.ready_path}"
        here = server.address is not None
        timed_out = isinstance(error, StartTimeoutError)
        return Evidence(
            error=str(error).replace(f"server {server.id}", "it"),
            timed_out=timed_out,
            seconds=self._service.starts.timeout,
            ready_path=ready_path,
            address=server.address,
            at_ready_path=await visited.status(ready_path) if here and timed_out else None,
            at_root=await visited.status("/api") if here and timed_out else None,
            facts=await self._facts(),
            printed=await self._printed(LINES),
        )

    async def _facts(self) -> ServerFacts:
        return await self._examination.server(self._server.id)

    async def _printed(self, lines: int) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(LOGS):
                text = await self._service.spawner.logs(self._server.id, lines)
        except (TmpnbError, TimeoutError):
            return ()
        return tuple(text.replace(self._visited().token, "[redacted]").strip().splitlines())

    def _visited(self) -> Visited:
        server = self._server
        token = self._tokens.token_for(server.id)
        return Visited(self._client, server.address or "", server.base_url, token)


def home_finding(printed: Sequence[str]) -> Finding | None:
    """Report what a server's home lacks of the image's; None if it reports nothing. Pure."""
    words = home_words(printed)
    if TOO_LARGE_WORDS in words:
        return warn("home", words, RAISE)
    return warn("home", words, "see the output of cp in the server's log") if words else None


class _Removal:
    """Removes a server at the end of its block.

    Attributes:
        problem: Why it could not; empty if it could.
    """

    def __init__(self, spawner: Spawner, server_id: str) -> None:
        self.problem = ""
        self._spawner, self._server_id = spawner, server_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(REMOVAL):
                    await self._spawner.stop(self._server_id)
            except (SpawnerError, TimeoutError) as trouble:
                self.problem = str(trouble) or "no answer"
            else:
                self.problem = ""
                return


async def _remove_left_over(service: Service) -> None:
    """Remove servers left by earlier runs that were killed."""
    oldest = time.time() - max(LEFT_OVER, 2 * service.starts.timeout)
    for instance in await service.spawner.list():
        if instance.created_at < oldest:
            with suppress(SpawnerError):
                await service.spawner.stop(instance.server_id)
