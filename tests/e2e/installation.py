"""docker-compose.yml as an operator uses it: one installation, with either kind of Compose."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from tornado.httpclient import HTTPResponse

from tests.e2e.running_service import SECRETS, START, free_ports, until_true
from tests.support.engines.docker import RealEngine
from tests.support.requirements import (
    ROOT,
    TEST_IMAGE,
    compose_plugin,
    docker_compose,
    missing,
    without_ours,
)
from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import MAX_ANSWER, Client

COMMAND = 120.0  # seconds for one command of Compose
FIRST, FILTERED = "docker-compose.yml", "docker-compose.filtered.yml"
BUILD_ARGUMENTS = (
    "BASE_IMAGE",
    "PIP_INDEX_URL",
    "PIP_CERT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
PROXY_IMAGE = "tmpnb-test/proxy"
FILTER_IMAGE = "tmpnb-test/filter"
ORCHESTRATOR_IMAGE = os.environ.get("TMPNB_TEST_ORCHESTRATOR", "tmpnb-test/orchestrator")


@dataclass(frozen=True)
class Composer:
    """One of the commands that read Compose files.

    Attributes:
        words: What is typed.
        environment: In which these words, and scripts that look for Compose, find this one.
    """

    words: Sequence[str]
    environment: Mapping[str, str]

    @classmethod
    def command(cls, directory: Path, **environment: str) -> Composer:
        """Return `docker-compose`: version 1.29 on Debian 12.

        Args:
            directory: An empty one, for what it takes to find it.
            environment: More variables.
        """
        (directory / "docker-compose").symlink_to(docker_compose())
        path = os.pathsep.join([str(directory), *without_ours()])
        found_by = {"PATH": path, "DOCKER_CONFIG": str(directory)}
        return cls(["docker-compose"], found_by | environment)

    @classmethod
    def plugin(cls, directory: Path, **environment: str) -> Composer:
        """Return `docker compose`, version 2 or newer, that came with the tests' packages.

        Args:
            directory: As of `command`.
            environment: As of `command`.
        """
        plugins = directory / "cli-plugins"
        plugins.mkdir()
        (plugins / "docker-compose").symlink_to(compose_plugin())
        return cls(["docker", "compose"], {"DOCKER_CONFIG": str(directory), **environment})


COMPOSERS = {"command": Composer.command, "plugin": Composer.plugin}


class Installation:
    """The services of docker-compose.yml, under a name and a port of their own."""

    def __init__(
        self,
        composer: Composer,
        files: Sequence[str],
        engine: docker.APIClient,
        env_file: Path,
        **settings: str,
    ) -> None:
        self.name = f"tmpnb-test-{secrets.token_hex(4)}"
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.engine = engine
        self.client = Client(MAX_ANSWER)
        named = [word for name in files for word in ("--file", name)]
        name = ["--project-name", self.name, "--env-file", str(env_file)]
        self._compose = [*composer.words, *named, *name]
        values = {
            "TMPNB_PORT": f"127.0.0.1:{port}",
            "TMPNB_NETWORK": self.name,
            "TMPNB_IMAGE": TEST_IMAGE,
            "TMPNB_PROXY_IMAGE": PROXY_IMAGE,
            "TMPNB_ORCHESTRATOR_IMAGE": ORCHESTRATOR_IMAGE,
            "TMPNB_FILTER_IMAGE": FILTER_IMAGE,
            "TMPNB_POOL_SIZE": "2",
            "TMPNB_NOFILE": "4096",  # the engine of a test machine may not raise it further
            "TMPNB_OPTIONS": "--reconcile-interval=1",
            **settings,
        }
        self._values, self._env_file = values, env_file
        self._write()
        # What is set in the shell would go before what the file says.
        ours = {*SECRETS, *BUILD_ARGUMENTS}
        self._environment = {
            n: v for n, v in os.environ.items() if n not in ours and not n.startswith("TMPNB_")
        } | composer.environment
        self._by_environment = {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": os.pathsep.join(files),
        }

    def _write(self) -> None:
        text = "".join(f"{name}={value}\n" for name, value in self._values.items())
        self._env_file.write_text(text)

    def change(self, **settings: str) -> None:
        """Change settings for the next `up`."""
        self._values |= settings
        self._write()

    def publish_everywhere(self) -> None:
        """Let the next `up` publish the port on all addresses of the machine."""
        self.change(TMPNB_PORT=self._values["TMPNB_PORT"].rpartition(":")[2])

    def compose(self, *arguments: str) -> str:
        """Run Compose; return what it printed."""
        return self._run([*self._compose, *arguments], self._environment)

    def script(self, name: str, *arguments: str) -> str:
        """Run one of the scripts, with the settings in its environment; return what it printed."""
        environment = self._environment | self._values | self._by_environment
        return self._run([str(ROOT / "scripts" / name), *arguments], environment)

    def _run(self, words: list[str], environment: Mapping[str, str]) -> str:
        done = subprocess.run(  # noqa: S603 - our own arguments
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=COMMAND
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
            for entry in self.services()
        }

    def service(self, name: str) -> str:
        """Return the id of a service's container."""
        label = "com.docker.compose.service"
        [found] = (e["Id"] for e in self.services() if e["Labels"][label] == name)
        return str(found)

    def services(self) -> list[dict[str, Any]]:
        """Return the containers of docker-compose.yml."""
        return self._listed("com.docker.compose.project")

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
        self.compose("stop", "--timeout", "5")
        for entry in self._listed("tmpnb.pool"):
            self.engine.remove_container(entry["Id"], v=True, force=True)
        self.compose("down", "--volumes", "--timeout", "5")
        for network in self.engine.networks(filters={"label": f"tmpnb.pool={self.name}"}):
            self.engine.remove_network(network["Id"])
        kits = self.engine.volumes(filters={"label": f"tmpnb.kit={self.name}"})["Volumes"] or []
        for volume in kits:  # kept with the servers that were kept
            self.engine.remove_volume(volume["Name"])
        self.client.close()

    def _listed(self, label: str) -> list[dict[str, Any]]:
        ours = {"label": f"{label}={self.name}"}
        return list(self.engine.containers(all=True, filters=ours))


@contextmanager
def installed(
    directory: Path, kind: str = "command", files: Sequence[str] = (), **settings: str
) -> Iterator[Installation]:
    """Bring one up, and remove it after the block.

    Args:
        directory: An empty one.
        kind: Of the command, in `COMPOSERS`.
        files: Compose files besides the first.
        settings: Variables beyond those that every test needs.
    """
    real = RealEngine.needed(missing)
    for image in (PROXY_IMAGE, ORCHESTRATOR_IMAGE, *([FILTER_IMAGE] if files else [])):
        if not real.client.images(image):
            missing(f"the image {image}: make images")
    composer = COMPOSERS[kind](directory)
    env_file = directory / ".env"
    running = Installation(composer, [FIRST, *files], real.client, env_file, **settings)
    try:
        running.compose("up", "--detach")
        yield running
    finally:
        running.remove()
        real.client.close()
