"""Fixtures of the contract suites: engines, spawners that clean up, and an HTTP client."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from tests.support.engines.contract import DEADLINE, ENGINES, EngineUnderTest
from tmpnb.errors import SpawnerError
from tmpnb.spawners.base import ServerSpec, Spawner

SpawnerFactory = Callable[..., Awaitable[Spawner]]


@pytest.fixture(params=ENGINES)
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, io_loop: IOLoop
) -> Iterator[EngineUnderTest]:
    under_test: EngineUnderTest = request.param(tmp_path)
    yield under_test
    io_loop.run_sync(under_test.close, timeout=DEADLINE)


@pytest.fixture
def spawner_of(engine: EngineUnderTest, io_loop: IOLoop) -> Iterator[SpawnerFactory]:
    """Return a function that gives a spawner of a pool, set up; all is removed afterwards."""
    made: list[Spawner] = []

    async def make(pool: str = "alpha", *, jupyter: bool = False) -> Spawner:
        spawner = engine.new_spawner(pool)
        if jupyter:
            engine.use_jupyter(spawner)
        await spawner.setup()
        made.append(spawner)
        return spawner

    async def remove_all() -> None:
        for spawner in made:
            with suppress(SpawnerError):
                for instance in await spawner.list():
                    await spawner.stop(instance.server_id)
            await spawner.close()

    yield make
    io_loop.run_sync(remove_all, timeout=2 * DEADLINE)


@pytest.fixture
def new_spec() -> Callable[[], ServerSpec]:
    def make(server_id: str | None = None) -> ServerSpec:
        name = server_id or secrets.token_urlsafe(9)
        return ServerSpec(name, base_url=f"/user/{name}/", token=secrets.token_urlsafe(24))

    return make
