"""The engines the contract suite runs on: how to make a spawner, and how to clean up.

A new engine is one class here and one line in `ENGINES`.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.requirements import missing
from tmpnb.errors import UnreachableError
from tmpnb.spawners.base import PoolIdentity, ServerSpec, Spawner
from tmpnb.spawners.fake import FakeEngine, FakeSpawner
from tmpnb.system.http.client import Client

DEADLINE = 60.0  # seconds any one condition may take to come true
PAUSE = 0.1  # seconds between two looks, each of which costs those who run beside us
STUB = Path(__file__).parents[1].joinpath("stub_server.py").read_text()


def stub_command(python: str, *arguments: str) -> str:
    """Return the command template of the stub, which starts far sooner than Jupyter."""
    words = [python, "-c", STUB]
    tail = " ".join(shlex.quote(argument) for argument in arguments)
    return f"{shlex.join(words)} {{port}} {{ip}} {{base_path}} {tail}"


async def wait_until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return once `condition` holds; fail when it has not within `DEADLINE`."""
    give_up = asyncio.get_running_loop().time() + DEADLINE
    while not await condition():
        if asyncio.get_running_loop().time() > give_up:
            pytest.fail(f"still waiting after {DEADLINE:g} s: {what}")
        await asyncio.sleep(PAUSE)


async def wait_until_it_answers(client: Client, url: str) -> None:
    """Return once GET `url` gives 200."""

    async def answers() -> bool:
        with suppress(UnreachableError):
            return (await client.fetch(url, timeout=5)).code == 200
        return False

    await wait_until(answers, f"{url} answers")


class EngineUnderTest:
    """One engine: makes spawners that are not set up yet, and ends servers from outside."""

    def new_spawner(self, pool: str) -> Spawner:
        """Return a spawner that runs the stub; a second one of a pool plays a restart."""
        raise NotImplementedError

    def use_jupyter(self, spawner: Spawner) -> None:
        """Let `spawner`, not set up yet, run real notebook servers with its default command."""
        spawner.command = type(spawner).command.default_value

    async def crash(self, client: Client, spec: ServerSpec, address: str) -> None:
        """End the server as it would end by itself. The stub does so when asked."""
        await wait_until_it_answers(client, f"{address}{spec.base_url}api")
        with suppress(UnreachableError):
            await client.fetch(f"{address}{spec.base_url}exit", timeout=5)

    async def compute(self, client: Client, spec: ServerSpec, address: str) -> None:
        """Let the server compute without end. The stub does so when asked."""
        await wait_until_it_answers(client, f"{address}{spec.base_url}api")
        await client.fetch(f"{address}{spec.base_url}spin", timeout=20)

    async def close(self) -> None:
        """Remove what the engine still holds of this test."""


class Fake(EngineUnderTest):
    """The pretend engine; its servers live in memory, so it is shared by the spawners."""

    def __init__(self, tmp_path: Path) -> None:
        del tmp_path
        self._engine = FakeEngine()

    def new_spawner(self, pool: str) -> Spawner:
        spawner = FakeSpawner()
        spawner.engine, spawner.pool = self._engine, PoolIdentity(pool)
        return spawner

    def use_jupyter(self, spawner: Spawner) -> None:
        """Do nothing: it pretends to be Jupyter all the time."""

    async def crash(self, client: Client, spec: ServerSpec, address: str) -> None:
        server = self._engine.at(spec.base_url)
        assert server is not None
        server.log.append("these are my last words")
        server.running = False

    async def compute(self, client: Client, spec: ServerSpec, address: str) -> None:
        server = self._engine.at(spec.base_url)
        assert server is not None
        server.cpu_seconds += 3600.0

    async def close(self) -> None:
        await self._engine.close()


class Local(EngineUnderTest):
    """Processes of this machine, with everything they write below the test's directory."""

    def __init__(self, tmp_path: Path) -> None:
        if find_spec("jupyterlab") is None:
            missing("jupyterlab in this environment: pip install 'tmpnb[local]'")
        self._directory = tmp_path

    def new_spawner(self, pool: str) -> Spawner:
        from tmpnb.spawners.local.spawner import LocalProcessSpawner

        spawner = LocalProcessSpawner(directory=str(self._directory))
        spawner.pool = PoolIdentity(pool)
        spawner.command = stub_command(sys.executable)
        return spawner


class Docker(EngineUnderTest):
    """The Docker engine of this machine, and the notebook image the project builds."""

    def __init__(self, tmp_path: Path) -> None:
        del tmp_path
        pytest.importorskip("docker")
        # `docker` is imported here only, so that the suite runs without it.
        from tests.support.engines.docker import RealEngine

        self._engine = RealEngine.needed(missing)

    def new_spawner(self, pool: str) -> Spawner:
        return self._engine.new_spawner(pool, stub_command("python3"))

    async def close(self) -> None:
        self._engine.remove_all()


class Podman(EngineUnderTest):
    """A Podman of the tests' own, one for all of them, and the same image."""

    def __init__(self, tmp_path: Path) -> None:
        del tmp_path
        pytest.importorskip("docker")
        from tests.support.engines.podman import shared  # which imports `docker`

        self._engine = shared()
        self._stack = ExitStack()
        self._stack.enter_context(self._engine.inside())

    def new_spawner(self, pool: str) -> Spawner:
        return self._engine.new_spawner(pool, stub_command("python3"))

    async def close(self) -> None:
        with self._stack:
            self._engine.remove_all()


ENGINES = [
    pytest.param(Fake, id="fake"),
    pytest.param(Local, id="local", marks=pytest.mark.local),
    pytest.param(Docker, id="docker", marks=pytest.mark.docker),
    pytest.param(
        Podman,
        id="podman",
        # One Podman for all of them, and so one after the other.
        marks=[
            pytest.mark.docker,
            pytest.mark.podman,
            pytest.mark.xdist_group("podman"),
            pytest.mark.long,
        ],
    ),
]
