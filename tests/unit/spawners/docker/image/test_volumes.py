"""What an image declares as volumes is part of what is bounded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from tests.support.docker_stand_in import Engine, StandIn
from tmpnb.spawners.base import PoolIdentity, ServerSpec
from tmpnb.spawners.docker.hardening.limits import Limits
from tmpnb.spawners.docker.image.user import Person
from tmpnb.spawners.docker.image.volumes import Placing, declared, in_words, placing
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.spawners.finding import Level

JOVYAN = Person(1000, 100, "/home/jovyan")
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
        (MEMORY, "/home/jovyan/work", Placing((), (), ("/home/jovyan/work",))),
        (MEMORY, "/tmp/x", Placing((), ("/tmp/x",))),  # noqa: S108 - inside
        (MEMORY, "/home/jovyanne", Placing(("/home/jovyanne",))),
        (BY_ENGINE, "/data", Placing(("/data",))),
        (BY_ENGINE, "/home/jovyan", Placing((), ("/home/jovyan",))),
        (BY_ENGINE, "/home", Placing(("/home",), ("/home/jovyan",))),
        (BY_ENGINE, "/tmp", Placing((), ("/tmp",))),  # noqa: S108 - inside
        (BY_ENGINE, "/tmp/x", Placing((), ("/tmp/x",))),  # noqa: S108 - inside
    ],
)
def test_each_volume_is_bounded_where_a_bound_is_set(
    limits: Limits, volume: str, placed: Placing
) -> None:
    assert placing(limits, replace(JOVYAN, volumes=(volume,))) == placed


def test_a_volume_in_a_home_that_begins_empty_is_empty_too() -> None:
    who = replace(JOVYAN, volumes=("/home/jovyan/work",))
    assert placing(MEMORY, who, fills=False) == Placing((), ("/home/jovyan/work",))


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
    engine.state.volumes = {}
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
        spawner.pool = PoolIdentity("pool")
        made.append(spawner)
        await spawner.setup()
        await spawner.start(ServerSpec("abc", "/user/abc/", "token"))
        found: dict[str, Any] = docker.bodies[-1]["HostConfig"]
        return found

    yield start
    for spawner in made:
        io_loop.run_sync(spawner.close)


def volumes(found: dict[str, Any]) -> dict[str, bool]:
    """Return whether each volume besides the kit is read-only, by its place: only with a name."""
    mounts = [m for m in found.get("Mounts") or () if not m["Target"].startswith("/opt/tmpnb-")]
    assert all(mount["Type"] == "volume" for mount in mounts)
    copies = [m for m in mounts if str(m.get("Source")).startswith("tmpnb-copy-pool-")]
    assert all(mount.get("ReadOnly", False) == (mount in copies) for mount in mounts), (
        "named, as engines want"
    )
    return {m["Target"]: m["ReadOnly"] for m in mounts if m in copies or not m.get("Source")}


@pytest.mark.gen_test(timeout=30)
async def test_with_a_limit_of_the_disk_no_volume_is_without_bound(
    host_config: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    found = await host_config(disk_limit="100m")
    assert volumes(found) == {"/data": True}
    assert f"size={100 * 1024**2 // 3 // 4096 * 4096}," in found["Tmpfs"]["/home/jovyan/work"]
    assert set(found["Tmpfs"]) == {"/home/jovyan", "/home/jovyan/work", "/tmp"}  # noqa: S108 - inside
    assert "/data read-only and /home/jovyan/work in memory" in caplog.text


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
@pytest.mark.parametrize(
    "own",
    [
        {"host_directories": "/srv/homes:/home/jovyan:rw"},
        {"extra_host_config": {"binds": ["/srv/homes:/home/jovyan"]}},
        {
            "extra_host_config": {
                "mounts": [{"Type": "volume", "Source": "mine", "Target": "/home/jovyan/"}]
            }
        },
    ],
)
async def test_a_home_that_the_operator_mounts_is_neither_in_memory_nor_filled(
    host_config: Starter, docker: StandIn, own: dict[str, Any]
) -> None:
    found = await host_config(disk_limit="100m", **own)
    assert set(found["Tmpfs"]) == {"/home/jovyan/work", "/tmp"}  # noqa: S108 - inside
    assert docker.bodies[-1].get("Entrypoint") is None


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
