"""docker-compose.yml as an operator uses it, with the images that `make images` builds."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker_engine import RealEngine
from e2e.service import SECRETS, START, free_ports, until_true
from requirements import ROOT, TEST_IMAGE, missing
from tornado.httpclient import HTTPResponse

from tmpnb.errors import UnreachableError
from tmpnb.http import Client

pytestmark = [pytest.mark.docker, pytest.mark.gen_test(timeout=240)]

COMMAND = 120.0  # seconds for one command of docker-compose
PROXY_IMAGE, ORCHESTRATOR_IMAGE = "tmpnb-test/proxy", "tmpnb-test/orchestrator"


class Installation:
    """The services of docker-compose.yml, under a name and a port of their own."""

    def __init__(
        self, compose: list[str], engine: docker.APIClient, env_file: Path, **settings: str
    ) -> None:
        self.name = f"tmpnb-test-{secrets.token_hex(4)}"
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.engine = engine
        self.client = Client()
        self._compose = [*compose, "--project-name", self.name, "--env-file", str(env_file)]
        values = {
            "TMPNB_PORT": f"127.0.0.1:{port}",
            "TMPNB_NETWORK": self.name,
            "TMPNB_IMAGE": TEST_IMAGE,
            "TMPNB_PROXY_IMAGE": PROXY_IMAGE,
            "TMPNB_ORCHESTRATOR_IMAGE": ORCHESTRATOR_IMAGE,
            "TMPNB_POOL_SIZE": "2",
            "TMPNB_NOFILE": "4096",  # the engine of a test machine may not raise it further
            "TMPNB_OPTIONS": "--reconcile-interval=1",
            **settings,
        }
        env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        # What is set in the shell would go before what the file says.
        self._environment = {
            n: v for n, v in os.environ.items() if n not in SECRETS and not n.startswith("TMPNB_")
        }

    def compose(self, *arguments: str) -> str:
        """Run docker-compose; return what it printed."""
        done = subprocess.run(  # noqa: S603 - our own arguments
            [*self._compose, *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=COMMAND,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def fetch(self, path: str, **options: Any) -> HTTPResponse:
        """Ask through the proxy."""
        return await self.client.fetch(f"{self.url}{path}", timeout=20, **options)

    async def until_stats(self, **expected: Any) -> None:
        """Return once `/stats` says what is expected."""
        last: dict[str, Any] = {}
        try:
            async with asyncio.timeout(START):
                while not expected.items() <= last.items():
                    await asyncio.sleep(0.1)
                    last = await self._stats()
        except TimeoutError:
            raise AssertionError(
                f"never {expected}: {last}\n{self.compose('logs', '--tail=20')}"
            ) from None

    async def _stats(self) -> dict[str, Any]:
        try:
            return dict(json.loads((await self.fetch("/stats")).body))
        except (UnreachableError, ValueError) as error:
            return {"trouble": str(error)}

    async def take(self) -> tuple[str, str]:
        """Take a server as a program does; return its base URL and its token."""
        answer = await self.fetch("/api/spawn", method="POST")
        assert answer.code == 200, answer.body
        taken = json.loads(answer.body)
        return f"/user/{taken['id']}/", taken["token"]

    async def until_healthy(self, *services: str) -> None:
        """Return once the engine's own checks say so of all services."""
        wanted = {service: "healthy" for service in services}
        await until_true(lambda: self.health() == wanted, "all healthy")

    def health(self) -> dict[str, str]:
        """Return what the engine's checks say, by service."""
        return {
            entry["Labels"]["com.docker.compose.service"]: self.engine.inspect_container(
                entry["Id"]
            )["State"]["Health"]["Status"]
            for entry in self._listed("com.docker.compose.project")
        }

    def notebooks(self) -> list[dict[str, Any]]:
        """Return the containers that the orchestrator made."""
        return self._listed("tmpnb.pool")

    def left(self) -> list[str]:
        """Return the names of everything in the engine that belongs to it."""
        containers = [*self._listed("com.docker.compose.project"), *self.notebooks()]
        volumes = self.engine.volumes(filters={"name": self.name})["Volumes"] or []
        networks = self.engine.networks(filters={"name": self.name})
        return [*(c["Names"][0] for c in containers), *(o["Name"] for o in [*volumes, *networks])]

    def remove(self) -> None:
        """Remove all of it, whatever has happened before."""
        for entry in self._listed("tmpnb.pool"):
            self.engine.remove_container(entry["Id"], v=True, force=True)
        self.compose("down", "--volumes", "--timeout", "5")
        self.client.close()

    def _listed(self, label: str) -> list[dict[str, Any]]:
        ours = {"label": f"{label}={self.name}"}
        return list(self.engine.containers(all=True, filters=ours))


def compose_command() -> list[str]:
    """Return the newer command if it is there, else the older one."""
    newer = ["docker", "compose"]
    if subprocess.run([*newer, "version"], capture_output=True).returncode == 0:  # noqa: S603 - constant
        return newer
    older = shutil.which("docker-compose")
    return [older] if older else missing("docker-compose: apt-get install docker-compose")


@pytest.fixture
def settings() -> dict[str, str]:
    """Return settings beyond those that every test needs."""
    return {}


@pytest.fixture
def installation(settings: dict[str, str], tmp_path: Path) -> Iterator[Installation]:
    real = RealEngine.needed(missing)
    for image in (PROXY_IMAGE, ORCHESTRATOR_IMAGE):
        if not real.client.images(image):
            missing(f"the image {image}: make images")
    running = Installation(compose_command(), real.client, tmp_path / ".env", **settings)
    try:
        running.compose("up", "--detach")
        yield running
    finally:
        running.remove()
        real.client.close()


async def test_up_serves_notebooks_and_down_leaves_nothing(installation: Installation) -> None:
    await installation.until_stats(available=2, claimed=0, capacity=2, container_image=TEST_IMAGE)
    front = await installation.fetch("/")
    assert (front.code, b'action="/spawn"' in front.body) == (200, True)

    base_url, token = await installation.take()
    assert "version" in json.loads((await installation.fetch(f"{base_url}api")).body)
    files = f"{base_url}api/contents"
    assert (await installation.fetch(files)).code == 403, "without its token it is closed"
    seen = await installation.fetch(files, headers={"Authorization": f"token {token}"})
    assert "demo.ipynb" in {entry["name"] for entry in json.loads(seen.body)["content"]}

    await installation.until_stats(available=1, claimed=1, claims_total=1)
    await installation.until_healthy("orchestrator", "proxy")
    assert installation.left()
    installation.compose("down", "--volumes")
    assert installation.left() == []


async def test_notebook_reaches_neither_the_proxys_api_nor_the_orchestrator(
    installation: Installation,
) -> None:
    await installation.until_stats(available=2)
    container = installation.notebooks()[0]["Id"]
    probe = (
        "import socket\n"
        "for host, port in ('proxy', 8000), ('proxy', 8001), ('orchestrator', 9999),"
        " ('orchestrator', 10000):\n"
        "    with socket.socket() as s:\n"
        "        print(host, port, s.connect_ex((host, port)) == 0)\n"
    )
    command = installation.engine.exec_create(container, ["python3", "-c", probe])
    answer = installation.engine.exec_start(command["Id"]).decode().splitlines()
    assert answer == [
        "proxy 8000 True",
        "proxy 8001 False",
        "orchestrator 9999 False",
        "orchestrator 10000 False",
    ]


async def test_notebook_takes_no_notebooks_for_the_proxy_tells_its_address(
    installation: Installation,
) -> None:
    await installation.until_stats(available=2)
    base_url, _ = await installation.take()
    server_id = base_url.strip("/").partition("/")[2]
    [container] = [c["Id"] for c in installation.notebooks() if server_id in str(c["Names"])]
    probe = (
        "import urllib.error, urllib.request\n"
        "try:\n"
        "    request = urllib.request.Request('http://proxy:8000/api/spawn', method='POST')\n"
        "    request.add_header('X-Forwarded-For', '203.0.113.9')\n"
        "    print(urllib.request.urlopen(request).read())\n"
        "except urllib.error.HTTPError as refused:\n"
        "    print(refused.code, refused.read().decode())\n"
    )
    command = installation.engine.exec_create(container, ["python3", "-c", probe])
    answer = installation.engine.exec_start(command["Id"]).decode()
    assert answer.startswith("403 "), answer
    assert "A notebook takes no other notebooks." in answer
    assert "--trusted-proxies" not in installation.compose("logs", "orchestrator")
    await installation.until_stats(claimed=1, claims_total=1)


@pytest.mark.parametrize("settings", [{"TMPNB_STOP_SERVERS_ON_EXIT": "false"}], ids=["kept"])
async def test_reader_keeps_the_server_while_everything_else_restarts(
    installation: Installation,
) -> None:
    await installation.until_stats(available=2)
    base_url, token = await installation.take()
    headers = {"Authorization": f"token {token}"}
    saved = await installation.fetch(
        f"{base_url}api/contents/mine.txt",
        method="PUT",
        headers=headers,
        body=json.dumps({"type": "file", "format": "text", "content": "work"}),
    )
    assert saved.code == 201
    installation.compose("restart")
    await installation.until_stats(available=1, claimed=1)
    kept = await installation.fetch(f"{base_url}api/contents/mine.txt", headers=headers)
    assert json.loads(kept.body)["content"] == "work"
