"""Servers on a rootless Docker and a rootless Podman: where they are reached, and where not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.engines.contract import wait_until_it_answers
from tests.support.engines.docker import LABEL
from tests.support.engines.rootless import RootlessEngine
from tmpnb.errors import ConfigError
from tmpnb.spawners.base import ServerSpec
from tmpnb.system.http.client import Client

pytestmark = [
    pytest.mark.docker,
    pytest.mark.podman,
    pytest.mark.long,
    pytest.mark.gen_test(timeout=240),
]


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[RootlessEngine]:
    found = RootlessEngine.running(request.param)
    try:
        with found.inside():
            yield found
    finally:
        found.close()


@pytest.mark.parametrize("engine", ["Docker", "Podman"], indirect=True)
async def test_a_rootless_engine_serves_claims_and_is_left_empty(
    engine: RootlessEngine, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    spawner, closed = engine.new_spawner("alpha"), engine.new_spawner("beta", egress="none")
    specs = [ServerSpec(f"{name}-server", f"/user/{name}/", "token") for name in "abc"]
    try:
        await spawner.setup()
        addresses = [await spawner.start(spec) for spec in specs]
        for spec, address in zip(specs, addresses, strict=True):
            await wait_until_it_answers(client, f"{address}{spec.base_url}api")
        await spawner.mark_claimed("a-server", 1_700_000_000)
        listed = {one.server_id: one for one in await spawner.list()}
        assert [listed[spec.server_id].address for spec in specs] == addresses
        assert listed["a-server"].claimed_at == 1_700_000_000
        for spec in specs:
            await spawner.stop(spec.server_id)
        assert await spawner.list() == []

        if spawner.engine_id.startswith("podman"):
            with pytest.raises(ConfigError, match="outside of a rootless Podman"):
                await closed.setup()
        else:
            await closed.setup()
            assert "a rootless Docker are reached from its own containers only" in caplog.text
    finally:
        await spawner.close()
        await closed.close()
    mine = {"label": f"{LABEL}={engine.run}"}
    assert engine.client.containers(all=True, filters=mine) == []
