"""What an image declares as volumes is part of what is bounded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from docker_stand_in import Engine, StandIn
from tornado.ioloop import IOLoop

from tmpnb.finding import Level
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.docker import DockerSpawner
from tmpnb.spawners.docker_hardening import Limits
from tmpnb.spawners.docker_person import Person
from tmpnb.spawners.docker_volumes import Placing, declared, in_words, placing

JOVYAN = Person(1000, 100, "/home/jovyan")
HOME = "uid=1000,gid=100,mode=755,exec,size=1000"
MEMORY = Limits(disk=1000)  # an engine that bounds no disk
BY_ENGINE = Limits(disk=1000, disk_by_engine=True)
READ_ONLY = Limits(read_only=True)


@pytest.mark.parametrize(
    ("config", "places"),
    [
        ({}, ()),
        ({"Volumes": None}, ()),
        ({"Volumes": {}}, ()),
        (
            {"Volumes": {"/data": {}, "/b/": {}, "//c/../d": {}, "relative": {}}},
            ("/b", "/d", "/data"),
        ),
        ({"Volumes": ["/data", 7, None]}, ("/data",)),
        ({"Volumes": "/data"}, ()),
    ],
)
def test_volumes_are_read_from_what_the_image_says(
    config: dict[str, Any], places: tuple[str, ...]
) -> None:
    assert declared(config) == places


@pytest.mark.parametrize(
    ("limits", "volume", "placed"),
    [
        (Limits(), "/data", Placing()),
        (READ_ONLY, "/data", Placing(("/data",))),
        (READ_ONLY, "/home/jovyan", Placing()),
        (READ_ONLY, "/home/jovyan/work", Placing()),
        (READ_ONLY, "/home", Placing(("/home",))),
        (MEMORY, "/data", Placing(("/data",))),
        (MEMORY, "/home/jovyan/work", Placing((), {"/home/jovyan/work": HOME})),
        (MEMORY, "/home/jovyanne", Placing(("/home/jovyanne",))),
        (BY_ENGINE, "/data", Placing(("/data",))),
        (BY_ENGINE, "/home/jovyan", Placing((), {"/home/jovyan": HOME})),
        (BY_ENGINE, "/home", Placing(("/home",), {"/home/jovyan": HOME})),
        (BY_ENGINE, "/tmp", Placing((), {"/tmp": "mode=1777,size=1000"})),  # noqa: S108 - inside
        (BY_ENGINE, "/tmp/x", Placing((), {"/tmp/x": HOME})),  # noqa: S108 - inside
    ],
)
def test_each_volume_is_bounded_where_a_bound_is_set(
    limits: Limits, volume: str, placed: Placing
) -> None:
    assert placing(limits, replace(JOVYAN, volumes=(volume,))) == placed


def test_an_image_without_volumes_has_nothing_to_say() -> None:
    assert in_words(placing(BY_ENGINE, JOVYAN)) == ""


# Over a stand-in engine.

Starter = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    engine = Engine()
    monkeypatch.setenv("DOCKER_HOST", engine.state.url)
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    engine.state.image_volumes = {"/data": {}, "/home/jovyan/work": {}}
    engine.state.image_environment = ["HOME=/home/jovyan"]
    yield engine.state
    engine.close()


@pytest.fixture
def host_config(docker: StandIn, io_loop: IOLoop) -> Iterator[Starter]:
    """Return a function that starts a server and returns what the engine was told of it."""
    made: list[DockerSpawner] = []

    async def start(**settings: Any) -> dict[str, Any]:
        spawner = DockerSpawner(**settings)
        spawner.pool_name = "pool"
        made.append(spawner)
        await spawner.setup()
        await spawner.start(ServerSpec("abc", "/user/abc/", "token"))
        found: dict[str, Any] = docker.bodies[-1]["HostConfig"]
        return found

    yield start
    for spawner in made:
        io_loop.run_sync(spawner.close)


def volumes(found: dict[str, Any]) -> dict[str, bool]:
    """Return whether each anonymous volume is read-only, by its place."""
    mounts = [m for m in found.get("Mounts") or () if not m.get("Source")]
    assert all(mount["Type"] == "volume" for mount in mounts)
    assert not any("VolumeOptions" in mount for mount in mounts), "they begin with the image's own"
    return {mount["Target"]: mount["ReadOnly"] for mount in mounts}


@pytest.mark.gen_test(timeout=30)
async def test_with_a_limit_of_the_disk_no_volume_is_without_bound(
    host_config: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    found = await host_config(disk_limit="100m")
    assert volumes(found) == {"/data": True}
    assert "size=104857600" in found["Tmpfs"]["/home/jovyan/work"]
    assert "/data read-only" in caplog.text
    assert "/home/jovyan/work in memory, empty at the start" in caplog.text


@pytest.mark.gen_test(timeout=30)
async def test_read_only_servers_write_to_no_volume_outside_of_their_home(
    host_config: Starter,
) -> None:
    found = await host_config(read_only=True)
    assert volumes(found) == {"/data": True, "/home/jovyan": False}


@pytest.mark.gen_test(timeout=30)
async def test_without_a_bound_volumes_are_as_the_image_has_them(host_config: Starter) -> None:
    assert volumes(await host_config()) == {}


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(
    "own",
    [
        {"mounts": [{"Type": "volume", "Source": "mine", "Target": "/data/"}]},
        {"tmpfs": {"/data": "size=1m"}},
        {"binds": ["/srv:/data:rw"]},
        {"binds": {"/srv": {"bind": "/data", "mode": "rw"}}},
    ],
)
async def test_what_the_operator_mounts_there_goes_before(
    host_config: Starter, own: dict[str, Any]
) -> None:
    found = await host_config(disk_limit="100m", extra_host_config=own)
    assert volumes(found) == {}


@pytest.mark.gen_test(timeout=30)
async def test_doctor_says_so_and_changes_nothing(docker: StandIn) -> None:
    docker.rule("GET /info", lambda: (200, {}))
    spawner = DockerSpawner(disk_limit="100m")
    try:
        found = {f.topic: f async for f in spawner.examination().findings(1)}
    finally:
        await spawner.close()
    assert found["volumes"].level is Level.WARN
    assert "/data read-only" in found["volumes"].words
    assert docker.bodies == []
