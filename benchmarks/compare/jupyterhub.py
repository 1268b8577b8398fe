"""JupyterHub with tmpauthenticator and DockerSpawner, which tmpnb is measured beside."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.common.command import BenchmarkError
from benchmarks.common.gauges import descendants
from benchmarks.common.program import OF_OTHERS, free_ports
from benchmarks.common.remains import LABEL, Engine
from benchmarks.compare.bounds import bounds
from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import MAX_ANSWER, Client

PYTHON = (
    Path(__file__).parents[2] / ".cache" / "hub" / "bin" / "python"
)  # where scripts/bench installs it
START, STOP = 90.0, 30.0  # seconds
ASK_TIMEOUT = 120.0  # seconds for one request
AT_ONCE = 4  # starts that are asked for through the API
MEMORY = "512M"  # of a server, as with tmpnb
STUB = "tmpnb-test/stub"

# What differs from a hub's defaults, and why: the machine's own ports and proxy, anybody may come,
# the same limits and labels as with tmpnb, and time enough for thirty servers at once.
CONFIG = """
import json
given = json.loads({given!r})
c.JupyterHub.bind_url = given["url"]
c.JupyterHub.hub_ip = given["gateway"]
c.JupyterHub.hub_port = given["hub_port"]
c.JupyterHub.db_url = "sqlite:///" + given["directory"] + "/hub.sqlite"
c.JupyterHub.cookie_secret_file = given["directory"] + "/cookie_secret"
c.JupyterHub.authenticator_class = "tmp"
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.services = [dict(name="bench", api_token=given["token"])]
c.JupyterHub.load_roles = [
    dict(name="bench", scopes=["admin:users", "admin:servers"], services=["bench"])
]
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.api_url = given["proxy_api"]
c.ConfigurableHTTPProxy.pid_file = given["directory"] + "/proxy.pid"
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 300
c.DockerSpawner.image = given["image"]
c.DockerSpawner.prefix = given["prefix"]
c.DockerSpawner.remove = False
c.DockerSpawner.mem_limit = given["memory"]
c.DockerSpawner.extra_create_kwargs = dict(labels=given["labels"])
c.DockerSpawner.extra_host_config = given["host_config"]
if given["stub"]:
    c.DockerSpawner.cmd = ["--port=8888"]
    def tell_its_address(spawner):
        spawner.args = ["--ServerApp.base_url=" + spawner.server.base_url]
    c.Spawner.pre_spawn_hook = tell_its_address
else:
    c.DockerSpawner.cmd = ["jupyterhub-singleuser"]
"""


class Hub:
    """One running hub, its proxy a child of it."""

    def __init__(
        self, process: asyncio.subprocess.Process, url: str, token: str, log: Path
    ) -> None:
        self.url = url  # where visitors go
        self.pid = process.pid
        self.client = Client(MAX_ANSWER)
        self._process, self._log = process, log
        self._headers = {"Authorization": f"token {token}"}

    def proxy_pids(self) -> list[int]:
        """Return the processes of its proxy."""
        return descendants([self.pid])

    async def until_up(self) -> None:
        """Return once it answers.

        Raises:
            BenchmarkError: It ended, or does not answer in time.
        """
        try:
            async with asyncio.timeout(START):
                while self._process.returncode is None:
                    if await self._ask("GET", "", {}) == 200:
                        return
                    await asyncio.sleep(0.2)
        except TimeoutError:
            pass
        raise BenchmarkError(f"JupyterHub does not come up:\n{self.tail()}")

    async def start_servers(self, count: int) -> int:
        """Start servers for so many users, without visitors; return how many came up."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def start(name: str) -> bool:
            async with slots:
                await self._ask("POST", f"users/{name}", {})
                if await self._ask("POST", f"users/{name}/server", {}) == 201:
                    return True
                return await self._until_started(name)

        names = [f"user{number}" for number in range(count)]
        return sum(await asyncio.gather(*(start(name) for name in names)))

    async def _until_started(self, name: str) -> bool:
        for _ in range(int(ASK_TIMEOUT)):
            answer = await self._fetch("GET", f"users/{name}", {})
            if answer is not None and json.loads(answer).get("server"):
                return True
            await asyncio.sleep(1.0)
        return False

    async def _ask(self, method: str, path: str, body: Mapping[str, Any]) -> int:
        try:
            answer = await self.client.fetch(
                f"{self.url}/hub/api/{path}".rstrip("/"),
                timeout=ASK_TIMEOUT,
                method=method,
                headers=self._headers,
                body=json.dumps(body) if method == "POST" else None,
            )
        except UnreachableError:
            return 0
        return answer.code

    async def _fetch(self, method: str, path: str, body: Mapping[str, Any]) -> bytes | None:
        try:
            answer = await self.client.fetch(
                f"{self.url}/hub/api/{path}", timeout=ASK_TIMEOUT, headers=self._headers
            )
        except UnreachableError:
            return None
        return answer.body if answer.code == 200 else None

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    async def stop(self) -> None:
        """End it and its proxy."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP)
        except TimeoutError:
            for pid in (*self.proxy_pids(), self.pid):
                os.kill(pid, signal.SIGKILL)
            await self._process.wait()


@asynccontextmanager
async def hub_running(engine: Engine, image: str) -> AsyncIterator[Hub]:
    """Run a hub until the end of the block; its containers are left to the engine's clean-up.

    Raises:
        BenchmarkError: It is not installed, servers would not find it, or it does not come up.
    """
    if not _is_installed():
        raise BenchmarkError("JupyterHub is not installed; scripts/bench does it: make bench")
    directory, url, token = _configured(engine, image)
    # The proxy stands beside the Python of this program.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (directory / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(PYTHON), "-m", "jupyterhub", f"--config={directory / 'config.py'}"),
            cwd=directory,
            env={n: v for n, v in os.environ.items() if n not in OF_OTHERS} | {"PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, who then end it in order
        )
    hub = Hub(process, url, token, directory / "log")
    try:
        await hub.until_up()
        yield hub
    finally:
        await hub.stop()
        hub.client.close()
        shutil.rmtree(directory)


def _is_installed() -> bool:
    return PYTHON.exists()


def _configured(engine: Engine, image: str) -> tuple[Path, str, str]:
    """Return a new directory with a configuration in it, the hub's URL, and a token of its API.

    Raises:
        BenchmarkError: Servers would not find the hub.
    """
    gateway = engine.gateway()  # before there is a directory to be left behind
    directory = Path(tempfile.mkdtemp(prefix="tmpnb-benchmark-hub-"))
    public, api, own = free_ports(3)
    token, url = secrets.token_hex(16), f"http://127.0.0.1:{public}"
    given = {
        "url": url,
        "gateway": gateway,
        "hub_port": own,
        "directory": str(directory),
        "token": token,
        "proxy_api": f"http://127.0.0.1:{api}",
        "image": image,
        "prefix": f"bench-{engine.run}",
        "memory": MEMORY,
        "labels": {LABEL: engine.run},
        "host_config": bounds(),
        "stub": image == STUB,
    }
    config = directory / "config.py"
    config.touch(mode=0o600)
    config.write_text(CONFIG.format(given=json.dumps(given)))
    return directory, url, token
