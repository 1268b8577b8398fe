"""What a server reaches, with and without egress, on an engine whose outside is played."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from docker_engine import reached
from e2e import played_world
from e2e.faults.own_engine import OwnEngine
from e2e.test_doctor import doctor, run
from requirements import TEST_IMAGE
from spawner_engines import stub_command, wait_until

from tmpnb.spawners.base import ServerSpec

pytestmark = [pytest.mark.docker, pytest.mark.gen_test(timeout=240)]

PORT = 8888  # of servers
SLEEP = ["python3", "-c", "import time; time.sleep(600)"]


@pytest.fixture(scope="module")
def engine() -> Iterator[OwnEngine]:
    made = OwnEngine.running(TEST_IMAGE)
    yield made
    made.close()


@pytest.fixture
def outside(engine: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return places outside of the engine's machine, all of which answer it."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    engine.begin()
    with played_world.around(engine.network) as places:
        yield places


@asynccontextmanager
async def two_servers(engine: OwnEngine, **settings: Any) -> AsyncIterator[list[str]]:
    """Run two servers; yield their addresses, host:port."""
    spawner = engine.new_spawner("alpha", stub_command("python3"), **settings)
    try:
        await spawner.setup()
        addresses = []
        for _ in range(2):
            server_id = secrets.token_urlsafe(9)
            spec = ServerSpec(server_id, f"/user/{server_id}/", secrets.token_urlsafe(24))
            addresses.append((await spawner.start(spec)).removeprefix("http://"))
        yield addresses
    finally:
        for instance in await spawner.list():
            await spawner.stop(instance.server_id)
        await spawner.close()


def servers(engine: OwnEngine) -> dict[str, str]:
    """Return the servers' own addresses, without port, by container."""
    listed = engine.client.containers(filters={"label": "tmpnb.managed=true"})
    return {
        entry["Id"]: network["IPAddress"]
        for entry in listed
        for network in entry["NetworkSettings"]["Networks"].values()
    }


def machine(engine: OwnEngine) -> tuple[socket.socket, list[str]]:
    """Return something that listens on all addresses of the engine's machine, and where."""
    with engine.network.inside():
        listening = socket.create_server(("0.0.0.0", 0))  # noqa: S104 - to be reached, if it can
    port = listening.getsockname()[1]
    networks = (engine.client.inspect_network(n["Id"]) for n in engine.client.networks())
    configs = [config for network in networks for config in network["IPAM"]["Config"] or ()]
    gateways = {config["Gateway"] for config in configs if config.get("Gateway")}
    return listening, [f"{ip}:{port}" for ip in sorted({*gateways, played_world.MACHINE})]


async def all_listen(engine: OwnEngine) -> None:
    """Return once each server can be reached by itself."""

    async def listen() -> bool:
        found = servers(engine)
        return len(found) == 2 and all(
            reached(engine.client, container, f"{ip}:{PORT}") == [True]
            for container, ip in found.items()
        )

    await wait_until(listen, "both servers listen")


async def test_with_egress_a_server_reaches_all_that_the_machine_reaches(
    engine: OwnEngine, outside: list[str]
) -> None:
    async with two_servers(engine):
        await all_listen(engine)
        (first, _), (_, other) = servers(engine).items()
        listening, here = machine(engine)
        with listening:
            places = [*outside, *here, f"{other}:{PORT}"]
            assert all(reached(engine.client, first, *places)), "so the hosts are truly there"


async def test_without_egress_a_server_reaches_the_machine_alone(
    engine: OwnEngine, outside: list[str]
) -> None:
    async with two_servers(engine, egress="none", docker_network="lesson") as addresses:
        await all_listen(engine)
        (first, _), (_, other) = servers(engine).items()
        assert reached(engine.client, first, *outside) == [False] * len(outside)
        assert reached(engine.client, first, f"{other}:{PORT}") == [False]
        listening, here = machine(engine)
        with listening:
            assert any(reached(engine.client, first, *here)), "docs/security.md says so"
        with engine.network.inside():
            for address in addresses:
                host, _, port = address.partition(":")
                socket.create_connection((host, int(port)), timeout=10).close()


async def test_on_a_network_of_its_own_a_server_reaches_nobody_but_those_on_it(
    engine: OwnEngine, outside: list[str]
) -> None:
    client = engine.client
    client.create_network("meeting", driver="bridge", labels=engine.labels)
    config = client.create_host_config(network_mode="meeting")
    proxy = client.create_container(TEST_IMAGE, SLEEP, labels=engine.labels, host_config=config)
    client.start(proxy["Id"])
    try:
        settings = {"egress": "none", "own_networks": True, "docker_network": "meeting"}
        async with two_servers(engine, **settings) as addresses:
            await all_listen(engine)
            (first, _), (_, other) = servers(engine).items()
            listening, here = machine(engine)
            with listening:
                places = [*outside, *here, f"{other}:{PORT}"]
                assert reached(client, first, *places) == [False] * len(places)
            assert all(reached(client, proxy["Id"], *addresses))
            client.restart(proxy["Id"], timeout=0)
            assert all(reached(client, proxy["Id"], *addresses)), "also after a restart"
            client.stop(proxy["Id"], timeout=0)
        client.start(proxy["Id"])  # its servers' networks went while it was down
        assert not client.networks(filters={"label": "tmpnb.managed=true"})
    finally:
        client.remove_container(proxy["Id"], force=True)
        client.remove_network("meeting")


@pytest.mark.parametrize("egress", ["all", "none"])
async def test_doctor_tries_what_the_operator_names_from_inside_a_server(
    engine: OwnEngine, outside: list[str], tmp_path: Path, egress: str
) -> None:
    named = [f"--network-target={place}" for place in outside]
    flags = [f"--egress={egress}", "--docker-network=tried", "--network", *named]
    with engine.network.inside():
        answer = await run(*doctor(engine, tmp_path, *flags))
    engine.client.remove_network("tried")
    for place in outside:
        if egress == "all":
            expected = f"warn reach    {place} is reached from a server; mend: --egress=none"
        else:
            expected = f"ok   reach    {place} is not reached from a server"
        assert expected in answer.lines, answer.text
    assert answer.code == 0, answer.text
