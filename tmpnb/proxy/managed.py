"""Keep configurable-http-proxy (CHP) running as a child of the orchestrator."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tmpnb.core.secret_names import VARIABLES
from tmpnb.errors import ConfigError, ProxyError, UnreachableError
from tmpnb.proxy.child import ProxyChild
from tmpnb.proxy.chp import ConfigurableHTTPProxy
from tmpnb.proxy.ports import require_free
from tmpnb.system import open_files, process
from tmpnb.system.backoff import Backoff
from tmpnb.system.files import plain_file
from tmpnb.system.files.secret_file import BY_FILE
from tmpnb.system.http.client import Client
from tmpnb.system.net.host_port import place
from tmpnb.system.process import Process

log = logging.getLogger(__name__)

BOOT = 30.0  # seconds from the proxy's start to its first answer
BOOT_PAUSE = 0.05  # seconds between two questions meanwhile
STABLE = 60.0  # seconds it must have lived to be no failure in a row
SILENCE = 60.0  # seconds without an answer of its API, after which it hangs
QUESTIONS = 6  # asked in that time
GRACE, PATIENCE = 5.0, 10.0  # seconds from SIGTERM to SIGKILL, and to giving up
MARKER = "TMPNB_PROXY_DIR"  # in the environment of the proxy and of all it starts
SCRIPTS = tuple(  # what Node loads into the proxy
    Path(__file__).with_name(f"{name}.cjs")
    for name in (
        "own_pages",
        "shared_origin",
        "broken_answers",
        "upgrades",
        "repeated_lines",
        "slow_clients",
    )
)
LARGEST_RECORD = 64 * 1024  # bytes
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
NOT_ITS_BUSINESS = frozenset([*VARIABLES, *(f"{name}{BY_FILE}" for name in VARIABLES)])


@dataclass(frozen=True, slots=True)
class ManagedProxySettings:
    """How the proxy is run."""

    command: Sequence[str]
    ip: str  # where visitors reach it; empty: at every address
    port: int
    api_port: int
    token: str = field(repr=False)  # of its API
    state_dir: Path
    api_ip: str = "127.0.0.1"
    default_target: str = ""  # http://host:port that gets all that has no route
    error_target: str = ""  # http://host:port that renders its error pages
    host_routing: bool = False  # whether a route begins with the name of a host

    @property
    def endpoint(self) -> str:
        """The address of its API."""
        return f"http://{place(self.api_ip, self.api_port)}"

    @property
    def arguments(self) -> list[str]:
        """Its command line."""
        options = {
            "--ip": self.ip,
            "--port": self.port,
            "--api-ip": self.api_ip,
            "--api-port": self.api_port,
            "--default-target": self.default_target,
            "--error-target": self.error_target,
        }
        words = [f"{name}={value}" for name, value in options.items() if value]
        return [*self.command, *words, *(["--host-routing"] if self.host_routing else [])]

    @property
    def environment(self) -> dict[str, str]:
        """Its variables: ours without our secrets, its token, and what Node loads into it."""
        made = {n: v for n, v in os.environ.items() if n not in NOT_ITS_BUSINESS}
        made["CONFIGPROXY_AUTH_TOKEN"] = self.token
        required = [f"--require={json.dumps(str(s), ensure_ascii=False)}" for s in SCRIPTS]
        made["NODE_OPTIONS"] = " ".join([made.get("NODE_OPTIONS", ""), *required]).strip()
        return made

    @property
    def listens(self) -> dict[int, str]:
        """The flag that chooses each port it listens at."""
        return {self.port: "--proxy-port", self.api_port: "--proxy-api-port"}

    @property
    def places(self) -> list[tuple[str, int, str]]:
        """Each address and port it listens at, with the port's flag."""
        both = (self.ip, self.port), (self.api_ip, self.api_port)
        return [(ip, port, self.listens[port]) for ip, port in both]


class ManagedProxy:
    """The proxy as our child: `start` it, `run` to keep it alive, `close` to end it."""

    def __init__(
        self,
        settings: ManagedProxySettings,
        client: Client,
        on_restart: Callable[[], None],
        on_trouble: Callable[[str], None],
        backoff: Backoff | None = None,
    ) -> None:
        """Keep what is needed; nothing is started yet.

        Args:
            settings: How the proxy is run.
            client: Who asks whether it answers.
            on_restart: Called when it runs again after an exit, without any route.
            on_trouble: Called with what is wrong with the state directory, again while it
                lasts; with nothing once it is not.
            backoff: How long to wait before it is started again.
        """
        self._settings, self._client = settings, client
        self._on_restart, self._on_trouble = on_restart, on_trouble
        self._backoff = backoff or Backoff()
        self._child: ProxyChild | None = None
        self._record = settings.state_dir / "proxy.json"
        self._directory = str(settings.state_dir.resolve())
        self._has_served = False
        self._unwritten = False  # whether the record of the child that runs is missing

    async def start(self) -> None:
        """Start it, and return when it serves. What a killed orchestrator left is ended first.

        Raises:
            ConfigError: It does not start; the message says why and what to do.
        """
        open_files.raise_limit()
        await self._end_left_over()
        self._child = await self._launch()
        self._has_served = True

    async def run(self) -> None:
        """Keep it alive until cancelled, then end it. Starts it, if `start` has not.

        Raises:
            ConfigError: As `start` does.
        """
        try:
            if self._child is None:
                await self.start()
            while self._child is not None:
                await self._live(self._child)
                await self.close()
                self._child = await self._launch_again()
                self._on_restart()
        finally:
            await self.close()

    async def close(self) -> None:
        """End it, if it runs. All of its routes are lost."""
        child, self._child = self._child, None
        if child is not None:
            await self._end(child)

    async def _live(self, child: ProxyChild) -> None:
        """Return when it has ended by itself, or hangs."""
        loop = asyncio.get_running_loop()
        born = loop.time()
        ends = asyncio.create_task(child.ended())
        hangs = asyncio.create_task(self._until_it_hangs(child))
        try:
            await asyncio.wait({ends, hangs}, return_when=asyncio.FIRST_COMPLETED)
            if ends.done():
                log.warning("the proxy ended %s; it will be started again", ends.result())
            else:
                log.warning("the proxy has not answered for %g s; it is started anew", SILENCE)
        finally:
            ends.cancel()
            hangs.cancel()
            await asyncio.wait({ends, hangs})
        if loop.time() - born > STABLE:
            self._backoff.succeeded()

    async def _until_it_hangs(self, child: ProxyChild) -> None:
        """Return when its API has left all questions of `SILENCE` seconds unanswered.

        Questions are counted, not seconds: if it was us who stood still, it is not to blame.
        """
        loop = asyncio.get_running_loop()
        pause, unanswered = SILENCE / QUESTIONS, 0
        while unanswered < QUESTIONS:
            next_question = loop.time() + pause
            unanswered = 0 if await self._answers(pause) else unanswered + 1
            if self._unwritten:
                self._remember(child.identity)
            await asyncio.sleep(next_question - loop.time())

    async def _answers(self, timeout: float) -> bool:
        """Whether its API says anything at all."""
        headers = {"Authorization": f"token {self._settings.token}"}
        url = f"{self._settings.endpoint}/api/routes"
        try:
            await self._client.fetch(url, timeout=timeout, headers=headers)
        except UnreachableError:
            return False
        return True

    async def _launch_again(self) -> ProxyChild:
        loop = asyncio.get_running_loop()
        while True:
            self._backoff.failed(loop.time())
            await asyncio.sleep(self._backoff.due - loop.time())
            try:
                return await self._launch()
            except ConfigError as error:
                log.error("the proxy does not start again: %s", error)  # noqa: TRY400 - one line

    async def _launch(self) -> ProxyChild:
        await asyncio.to_thread(require_free, self._settings.places)
        child = await self._spawn()
        async with AsyncExitStack() as undo:  # cancelled or not, nothing stays behind
            undo.push_async_callback(self._end, child)
            self._remember(child.identity)
            await self._until_it_serves(child)
            undo.pop_all()
        return child

    async def _spawn(self) -> ProxyChild:
        arguments = self._settings.arguments
        environment = self._settings.environment | {MARKER: self._directory}
        try:
            return await ProxyChild.spawn(arguments, environment, self._settings.token)
        except OSError as error:
            raise ConfigError(
                f"{cannot_run(arguments[0], error)}, or set CONFIGPROXY_ENDPOINT and "
                "CONFIGPROXY_AUTH_TOKEN to use one that runs already"
            ) from error

    async def _until_it_serves(self, child: ProxyChild) -> None:
        """Return when its API and its own port answer."""
        settings, problem = self._settings, "no answer"
        api = ConfigurableHTTPProxy(self._client, settings.endpoint, settings.token, "")
        with suppress(TimeoutError):
            async with asyncio.timeout(BOOT):
                while not child.has_ended:
                    try:
                        await api.setup()
                        await _connect(settings.ip, settings.port)
                    except (ProxyError, OSError) as error:
                        problem = str(error)
                    else:
                        return
                    await asyncio.sleep(BOOT_PAUSE)
        if not child.has_ended:
            raise ConfigError(f"the proxy does not serve {BOOT:g} s after its start: {problem}")
        words = await child.ended()
        if child.refused is None:
            raise ConfigError(f"the proxy does not start; it ended {words}")
        code, port = child.refused
        flag = settings.listens.get(port, "its port")
        raise ConfigError(f"{flag}={port}: the proxy cannot listen there ({code})")

    async def _end(self, child: ProxyChild) -> None:
        await self._end_processes(child.identity)
        await child.close()
        with suppress(OSError):  # one that stays names a process that is gone
            self._record.unlink()

    async def _end_processes(self, root: Process) -> None:
        def roots() -> set[Process]:
            return process.marked(f"{MARKER}={self._directory}") | {root}

        left = await process.end(roots, grace=GRACE, patience=PATIENCE)
        if left:
            log.error("these processes of the proxy do not end: %s", sorted(p.pid for p in left))

    async def _end_left_over(self) -> None:
        """End the proxy of an orchestrator that was killed; one that lives keeps its own."""
        try:
            record = json.loads(plain_file.read(self._record, LARGEST_RECORD))
            owner, child = Process(**record["owner"]), Process(**record["child"])
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return
        except OSError as error:
            raise ConfigError(
                f"--state-dir: cannot read {self._record}: {error.strerror}"
            ) from error
        if owner.pid != os.getpid() and process.is_running(owner):
            raise ConfigError(
                f"another tmpnb (process {owner.pid}) runs a proxy with the same "
                f"--state-dir={self._settings.state_dir}; stop it, or choose another directory"
            )
        if process.is_running(child):
            log.warning("ending process %d, the proxy of a former run", child.pid)
        await self._end_processes(child)

    def _remember(self, child: Process) -> None:
        """Write down who started which proxy, for `_end_left_over` of a later run.

        A full disk keeps no proxy from running; neither does any other, once one has run.
        """
        owner = process.find(os.getpid())
        if owner is None:
            return  # no /proc, so nobody could tell later
        try:
            self._write(json.dumps({"owner": asdict(owner), "child": asdict(child)}))
        except OSError as error:
            if not self._has_served and error.errno not in NO_ROOM:
                raise ConfigError(f"--state-dir: cannot write {self._record}: {error}") from error
            self._unwritten = True
            self._on_trouble(
                f"--state-dir: cannot write {self._record}: {error.strerror}; until that is "
                "mended, a killed tmpnb leaves a proxy that has to be ended by hand"
            )
        else:
            self._unwritten = False
            self._on_trouble("")

    def _write(self, record: str) -> None:
        draft = self._record.with_suffix(".new")
        try:
            draft.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(record)
            draft.replace(self._record)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise


def cannot_run(program: str, error: OSError) -> str:
    """Return what is wrong where the proxy's program cannot be run, and how to get it."""
    return (
        f"cannot run the proxy, {program}: {error.strerror}; install it with: "
        "npm install -g configurable-http-proxy"
    )


async def _connect(ip: str, port: int) -> None:
    """Raise OSError if nobody listens there."""
    _, writer = await asyncio.open_connection(ip or "127.0.0.1", port)
    writer.close()
    await writer.wait_closed()
