"""The program as an operator runs it: a process of its own, real ports, real proxy."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPResponse

from tests.support import evidence
from tests.support.requirements import chp
from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.system.process import Process

START = 90.0  # seconds until the service serves or a condition has come true
STOP = 30.0  # seconds until it has ended
SECRETS = (
    "CONFIGPROXY_AUTH_TOKEN",
    "CONFIGPROXY_ENDPOINT",
    "API_AUTH_TOKEN",
    "ADMIN_AUTH_TOKEN",
    "TMPNB_SECRET_KEY",
    "API_AUTH_TOKEN_FILE",
    "ADMIN_AUTH_TOKEN_FILE",
    "TMPNB_SECRET_KEY_FILE",
)
OWN_QUESTIONS = re.compile(r"200 GET /(health|stats)\b")
PERSON = {"Accept": "text/html", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Service:
    """One `tmpnb` process. Its proxy is its child unless the environment names another."""

    def __init__(
        self,
        *flags: str,
        state_dir: Path | None = None,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        constants: Mapping[str, float] | None = None,
        proxy_options: str = "",
    ) -> None:
        """Keep what is needed; nothing is started yet.

        Args:
            flags: Of the program, besides those of its ports and its state directory.
            state_dir: A new temporary directory unless given, which goes with the service.
            env: Variables besides this process's own, without its secrets.
            log: In the state directory unless given.
            constants: Numbers of the program by their dotted names, which no flag changes.
            proxy_options: Of the proxy, each with a space before it.
        """
        self._proxy_options = proxy_options
        self.state_dir = state_dir or self._directory_of_its_own()
        self.visitors, self.api_port, self.port, self.admin_port = free_ports(4)
        self.flags = flags
        self._env = {n: v for n, v in os.environ.items() if n not in SECRETS} | dict(env or {})
        self.program = _program(constants or {})  # for the next start
        self.log = log or self.state_dir / "service.log"
        self.process: asyncio.subprocess.Process | None = None
        self.client = Client(MAX_ANSWER)

    def _directory_of_its_own(self) -> Path:
        """Make a directory that is gone when nobody has the service any more, if not before."""
        made = Path(tempfile.mkdtemp(prefix="tmpnb-test-"))
        weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        return made

    def add_environment(self, more: Mapping[str, str]) -> None:
        """Set variables for the next start."""
        self._env |= more

    @property
    def url(self) -> str:
        """Where visitors go."""
        return f"http://127.0.0.1:{self.visitors}"

    @property
    def own_url(self) -> str:
        """Where the proxy finds the orchestrator."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Run the program; return at once."""
        arguments = [
            f"--proxy-command={chp()}{self._proxy_options}",
            f"--proxy-port={self.visitors}",
            f"--proxy-api-port={self.api_port}",
            f"--port={self.port}",
            f"--admin-port={self.admin_port}",
            f"--state-dir={self.state_dir}",
            *self.flags,
        ]
        evidence.of(self._title, self.tail)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.program, *arguments, env=self._env, stdout=log, stderr=log
            )

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        try:
            return await asyncio.wait_for(self.process.wait(), STOP)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise AssertionError(f"it did not end within {STOP:g} s\n{self.tail()}") from None
        finally:
            evidence.keep(self._title)  # its log may be removed before the test has failed

    async def fetch(self, path: str, **options: Any) -> HTTPResponse:
        """Ask through the proxy."""
        return await self.client.fetch(f"{self.url}{path}", timeout=20, **options)

    async def drain(self) -> int:
        """Replace the unclaimed servers by the admin API; return how many."""
        url = f"http://127.0.0.1:{self.admin_port}/api/pool"
        answer = await self.client.fetch(url, timeout=20, method="DELETE")
        return int(json.loads(answer.body)["drained"])

    async def stats(self) -> dict[str, Any]:
        return dict(json.loads((await self.fetch("/stats")).body))

    async def take(self, path: str = "") -> str:
        """Take a server as a person who follows a link; return its URL, token included."""
        answer = await self.fetch(f"/spawn{path}", headers=PERSON)
        assert answer.code == 302, f"{answer.code}\n{self.tail()}"
        return self.url + answer.headers["Location"]

    async def numbers(self) -> dict[str, Any]:
        """Return the pool in numbers, asked without a proxy."""
        evidence.of(self._title, self.tail)  # it may have been started in another test
        answer = await self.client.fetch(f"{self.own_url}/stats", timeout=20)
        return dict(json.loads(answer.body))

    async def problems(self) -> dict[str, str]:
        """Return the open problems in words, by topic, as the admin port tells them."""
        url = f"http://127.0.0.1:{self.admin_port}/health"
        problems = json.loads((await self.client.fetch(url, timeout=20)).body)["problems"]
        return {topic: problem["message"] for topic, problem in problems.items()}

    def proxy_child(self) -> Process:
        """Return the proxy it keeps as its child."""
        return Process(**json.loads((self.state_dir / "proxy.json").read_text())["child"])

    async def routes(self) -> dict[str, Any]:
        """Return the table of the proxy that is its child, whose token is nowhere else."""
        url = f"http://127.0.0.1:{self.api_port}/api/routes"
        headers = {"Authorization": f"token {_proxy_token(self.proxy_child())}"}
        return dict(json.loads((await self.client.fetch(url, timeout=5, headers=headers)).body))

    async def until(self, condition: Callable[[dict[str, Any]], object], what: str) -> None:
        """Return once `condition` holds for `/stats`."""
        await self._poll(self.numbers, condition, what)

    async def until_trouble(self, topic: str) -> str:
        """Return the words of a problem once it is open."""
        return str((await self._poll(self.problems, lambda p: topic in p, topic))[topic])

    async def until_alone(self, topic: str) -> None:
        """Return once this problem is the only one that is open."""
        await self._poll(self.problems, lambda problems: set(problems) == {topic}, topic)

    async def until_well(self) -> None:
        """Return once no problem is open."""
        await self._poll(self.problems, lambda problems: not problems, "no problem")

    async def _poll(
        self,
        ask: Callable[[], Awaitable[dict[str, Any]]],
        condition: Callable[[dict[str, Any]], object],
        what: str,
    ) -> dict[str, Any]:
        last: object = None
        try:
            async with asyncio.timeout(START):
                while True:
                    with suppress(UnreachableError, ValueError):
                        last = answer = await ask()
                        if condition(answer):
                            return answer
                    assert self.process is not None
                    assert self.process.returncode is None, self.tail()
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"never: {what}; last {last}\n{self.tail()}") from None

    async def until_ready(self, count: int) -> None:
        await self.until(lambda s: s["available"] == count, f"{count} ready")

    @property
    def _title(self) -> str:
        """What its log is shown as beside a test that fails."""
        both = "" if "CONFIGPROXY_ENDPOINT" in self._env else " and its proxy"
        return f"orchestrator{both} (port {self.port}): last lines of the log"

    def tail(self) -> str:
        """Return the end of the log, without the answers to our own questions."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        others = "\n".join(line for line in lines if not OWN_QUESTIONS.search(line))
        return evidence.last_lines(others)  # whole ones: half a token is not known as one


def _program(constants: Mapping[str, float]) -> list[str]:
    """Return the words that run the program."""
    if not constants:
        return [sys.executable, "-m", "tmpnb"]
    lines = ["import importlib", "from tmpnb.commands.main import main"]
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        lines.append(f"module = importlib.import_module({module!r})")
        lines.append(f"module.{constant}")  # what is not there fails at once
        lines.append(f"module.{constant} = {value}")
    return [sys.executable, "-c", "\n".join([*lines, "main()"])]


def _proxy_token(proxy: Process) -> str:
    """Return the token of a proxy's API, from the environment it was started with."""
    environment = Path(f"/proc/{proxy.pid}/environ").read_bytes().decode().split("\0")
    [token] = [e.partition("=")[2] for e in environment if e.startswith("CONFIGPROXY_AUTH_TOKEN=")]
    return token


def _empty_file(prefix: str) -> Path:
    """Make a file in a temporary place."""
    handle, name = tempfile.mkstemp(prefix=prefix)
    os.close(handle)
    return Path(name)


class RunningProxy:
    """A configurable-http-proxy that runs on its own, as in production."""

    token = "a-token-for-tests-only"

    def __init__(
        self,
        default_target_port: int,
        environment: Mapping[str, str] | None = None,
        *options: str,
    ) -> None:
        self._options = options
        self.port, self.api_port = free_ports(2)
        self._environment = dict(environment or {})
        self._default_target = f"http://127.0.0.1:{default_target_port}"
        self._process: asyncio.subprocess.Process | None = None
        self._log: Path | None = None
        self._said = ""  # in its former lives
        self._client = Client(MAX_ANSWER)

    @property
    def env(self) -> dict[str, str]:
        """What tells tmpnb to use it."""
        endpoint = f"http://127.0.0.1:{self.api_port}"
        return {"CONFIGPROXY_ENDPOINT": endpoint, "CONFIGPROXY_AUTH_TOKEN": self.token}

    async def start(self) -> None:
        """Run it; return when its API answers."""
        command = [
            chp(),
            f"--port={self.port}",
            "--ip=127.0.0.1",
            f"--api-port={self.api_port}",
            "--api-ip=127.0.0.1",
            f"--default-target={self._default_target}",
            f"--error-target={self._default_target}/proxy-error",
            *self._options,
        ]
        env = os.environ | self._environment | {"CONFIGPROXY_AUTH_TOKEN": self.token}
        evidence.of(self._title, self.tail)
        self._log = self._log or _empty_file("tmpnb-proxy-")
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, env=env, stdout=log, stderr=log
            )
        try:
            async with asyncio.timeout(START):
                while not await self._answers():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"the proxy does not start\n{self.tail()}") from None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._said = self.tail()
        if self._log is not None:
            self._log.unlink()
            self._log = None

    @property
    def _title(self) -> str:
        """What its log is shown as beside a test that fails."""
        return f"proxy (port {self.port}): last lines of its log"

    def tail(self) -> str:
        """Return the end of what it wrote, in all its lives."""
        now = evidence.end_of(self._log) if self._log else ""
        return evidence.last_lines(self._said + now)

    async def routes(self) -> dict[str, Any]:
        """Return its table."""
        return dict(json.loads((await self.api("GET")).body))

    async def api(self, method: str, path: str = "", body: str | None = None) -> HTTPResponse:
        """Ask its API."""
        url = f"http://127.0.0.1:{self.api_port}/api/routes{path}"
        headers = {"Authorization": f"token {self.token}"}
        return await self._client.fetch(url, timeout=5, method=method, headers=headers, body=body)

    async def _answers(self) -> bool:
        try:
            return (await self.api("GET")).code == 200
        except UnreachableError:
            return False


@asynccontextmanager
async def serving(*flags: str, **options: Any) -> AsyncIterator[Service]:
    """Run a service that leaves nothing behind."""
    service = Service("--stop-servers-on-exit", *flags, **options)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
        service.client.close()
        shutil.rmtree(service.state_dir)


async def until_true(condition: Callable[[], object], what: str) -> None:
    """Return once `condition` holds."""
    try:
        async with asyncio.timeout(START):
            while not condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


async def ask(client: Client, notebook_url: str, api: str, **how: Any) -> HTTPResponse:
    """Ask a notebook server's API with the token its URL carries."""
    base, _, query = notebook_url.partition("?")
    user_root = "/".join(base.split("/")[:5])
    token = query.rpartition("token=")[2]
    headers = {"Authorization": f"token {token}"}
    return await client.fetch(f"{user_root}/{api}", timeout=20, headers=headers, **how)
