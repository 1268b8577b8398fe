"""What a Docker engine tells of itself, what is made of it, and what happens when it will not."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tornado.ioloop import IOLoop

from tests.support.docker_stand_in import Engine, Rule, StandIn
from tmpnb.errors import ConfigError
from tmpnb.spawners.base import PoolIdentity
from tmpnb.spawners.docker import examination, labels
from tmpnb.spawners.docker.examination import disk_finding, memory_finding, published_finding
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.spawners.docker.support import memory_limit
from tmpnb.spawners.examination import ServerFacts
from tmpnb.spawners.finding import Finding, Level

pytestmark = pytest.mark.gen_test(timeout=60)

GB = 1024**3
SOCKET = "unix:///var/run/docker.sock"
ABOUT = {"MemTotal": 16 * GB, "MemoryLimit": True, "Name": "elsewhere", "DockerRootDir": "/docker"}


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    engine = Engine()
    monkeypatch.setenv("DOCKER_HOST", engine.state.url)
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    engine.state.rule("GET /info", lambda: (200, ABOUT))
    yield engine.state
    engine.close()


async def found(**settings: Any) -> dict[str, Finding]:
    spawner = DockerSpawner(**settings)
    try:
        return {f.topic: f async for f in spawner.examination().findings(10)}
    finally:
        await spawner.close()


async def test_a_sound_engine_is_well_and_nothing_is_changed(docker: StandIn) -> None:
    findings = await found()
    topics = ("engine", "image", "network", "memory", "limits", "seccomp", "bounds", "disk")
    assert tuple(findings) == topics
    assert "API 1.41" in findings["engine"].words
    assert docker.url in findings["engine"].words
    levels = {topic: finding.level for topic, finding in findings.items()}
    well = ("engine", "image", "network", "memory", "limits", "seccomp")
    assert levels == dict.fromkeys(well, Level.OK) | (
        {"bounds": Level.WARN, "disk": Level.SKIP}  # of an engine that is reached over TCP
    )
    assert {asked.split()[0] for asked in docker.asked} == {"GET"}


async def test_podman_is_named_and_so_is_what_it_does_otherwise(docker: StandIn) -> None:
    said = {
        "Version": "4.3.1",
        "ApiVersion": "1.41",
        "MinAPIVersion": "1.24",
        "Components": [{"Name": "Podman Engine"}],
    }
    docker.rules.insert(0, Rule("GET /version", lambda: (200, said)))
    docker.rules.insert(0, Rule("GET /info", lambda: (200, ABOUT | {"BuildahVersion": "1.28"})))
    docker.refuse("GET /images/.*", 404, "no such image")
    docker.refuse("GET /distribution/.*", 404, "Path /distribution/x/json is not supported")
    findings = await found(egress="none")
    assert findings["engine"].words.startswith("Podman 4.3.1 (API 1.41) at ")
    assert "on its own network, from 198.18.0.0/15" in findings["network"].words
    assert findings["restart"].level is Level.WARN
    assert findings["image"].level is Level.WARN, "it does not say whether it could fetch it"


async def test_an_old_engine_and_its_own_profile_are_named_with_the_fix(docker: StandIn) -> None:
    said = {
        "Version": "19.03.15",
        "ApiVersion": "1.40",
        "MinAPIVersion": "1.12",
        "Components": [
            {"Name": "Engine", "Version": "19.03.15"},
            {"Name": "runc", "Version": "1.0.0-rc93"},
        ],
    }
    docker.rules.insert(0, Rule("GET /version", lambda: (200, said)))
    spawner = DockerSpawner(seccomp="engine")
    try:
        lines = [f.line() async for f in spawner.examination().findings(10)]
    finally:
        await spawner.close()
    named = [line for line in lines if line.startswith(("warn version", "warn seccomp"))]
    assert len(named) == 3, lines
    for line, what in zip(
        named, ("Docker 19.03.15", "runc 1.0.0-rc93", "own profile"), strict=True
    ):
        assert what in line
        assert "; fix: " in line
        assert "\n" not in line


async def test_without_an_engine_the_rest_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    findings = await found()
    assert findings.pop("engine").level is Level.FAIL
    assert {f.level for f in findings.values()} == {Level.SKIP}
    assert len(findings) == 6


async def test_bounds_that_the_engine_cannot_enforce_are_warnings(docker: StandIn) -> None:
    docker.rules.insert(0, Rule("GET /info", lambda: (200, ABOUT | {"SwapLimit": False})))
    limits = (await found())["limits"]
    assert (limits.level, "swap is not limited" in limits.words) == (Level.WARN, True)
    assert (await found(mem_limit=""))["limits"].level is Level.OK


async def test_a_runtime_that_the_engine_lacks_is_a_failure(docker: StandIn) -> None:
    docker.rules.insert(0, Rule("GET /info", lambda: (200, ABOUT | {"Runtimes": {"runc": {}}})))
    limits = (await found(runtime="runsc"))["limits"]
    assert limits.level is Level.FAIL
    assert "no runtime runsc" in limits.words


async def test_an_image_that_can_be_fetched_is_a_warning_and_not_fetched(docker: StandIn) -> None:
    docker.refuse("GET /images/.*", 404, "no such image")
    docker.rule("GET /distribution/.*", lambda: (200, {"Descriptor": {}}))
    image = (await found(image="example/notebook"))["image"]
    assert (image.level, image.blocks) == (Level.WARN, True)
    assert "pulls it when it starts" in image.words
    assert image.mend == "docker pull example/notebook"
    assert docker.requests("^POST") == []


async def test_an_image_that_cannot_be_fetched_fails(docker: StandIn) -> None:
    docker.refuse("GET /images/.*", 404, "no such image")
    docker.refuse("GET /distribution/.*", 401, "denied")
    image = (await found(image="example/notebook"))["image"]
    assert image.level is Level.FAIL
    assert "denied" in image.words


async def test_a_question_that_is_refused_fails_and_the_others_are_asked(docker: StandIn) -> None:
    docker.refuse("GET /images/.*", 500, "broken")
    findings = await found()
    assert findings["image"].level is Level.FAIL
    assert "broken" in findings["image"].words
    assert findings["network"].level is Level.OK


async def test_a_question_without_an_answer_fails_after_its_deadline(
    docker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "REGISTRY", 0.2)
    go = docker.hold("GET /images/.*")
    findings = await found()
    go.set()
    assert findings["image"].level is Level.FAIL
    assert "did not answer within" in findings["image"].words
    assert findings["memory"].level is Level.OK


async def test_a_network_is_there_or_will_be_made(docker: StandIn) -> None:
    docker.rule("GET /networks/.*", lambda: (200, {"Driver": "bridge"}), times=1)
    assert "lesson exists (bridge)" in (await found(docker_network="lesson"))["network"].words
    network = (await found(docker_network="lesson"))["network"]
    assert (network.level, "is created when tmpnb starts" in network.words) == (Level.OK, True)
    assert docker.requests("^POST") == []
    assert (
        "192.0.2.1" in (await found(host_network=True, container_ip="192.0.2.1"))["network"].words
    )


@pytest.mark.parametrize(
    ("ip", "where", "level"),
    [
        ("127.0.0.1", SOCKET, Level.OK),
        ("127.0.0.1", "tcp://127.0.0.1:2375", Level.OK),
        ("127.0.0.1", "tcp://localhost:2375", Level.OK),
        ("127.0.0.1", "tcp://engine.example:2376", Level.FAIL),
        ("::1", "ssh://me@192.0.2.1", Level.FAIL),
        ("192.0.2.1", "tcp://192.0.2.1:2376", Level.OK),
    ],
)
def test_loopback_of_another_machine_is_out_of_reach(ip: str, where: str, level: Level) -> None:
    finding = published_finding(ip, where)
    assert finding.level is level
    assert ("--container-ip" in finding.mend) is (level is Level.FAIL)


@pytest.mark.parametrize(
    ("limit", "capacity", "level", "words"),
    [
        (GB // 2, 32, Level.OK, "32 servers with 512 MB each may take 16 GB"),
        (GB // 2, 33, Level.WARN, "may take 16.5 GB, the engine's machine has 16 GB"),
        (0, 1, Level.WARN, "all memory"),
    ],
)
def test_memory_is_held_against_the_capacity(
    limit: int, capacity: int, level: Level, words: str
) -> None:
    finding = memory_finding(ABOUT, limit, capacity)
    assert finding.level is level
    assert words in finding.words


def test_an_engine_that_cannot_limit_memory_is_a_warning() -> None:
    assert memory_finding(ABOUT | {"MemoryLimit": False}, GB, 1).level is Level.WARN


@pytest.mark.parametrize(
    ("own", "size"), [({}, 5), ({"mem_limit": "1g"}, GB), ({"mem_limit": -1}, 0)]
)
def test_the_limit_is_the_one_a_container_gets(own: dict[str, Any], size: int) -> None:
    assert memory_limit(Options("image", memory=5, extra_host_config=own)) == size


def test_a_limit_that_is_no_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="mem_limit='much'"):
        memory_limit(Options("image", extra_host_config={"mem_limit": "much"}))


class Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(
    ("free", "level"), [(9 * GB, Level.OK), (GB, Level.WARN), (GB // 8, Level.FAIL)]
)
def test_the_engines_disk_is_judged_where_it_is_ours(
    free: int, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: {"/docker": Usage(free)}[path])
    here = ABOUT | {"Name": socket.gethostname()}
    assert disk_finding(here, SOCKET).level is level
    assert disk_finding(here, "tcp://127.0.0.1:2375").level is Level.SKIP
    assert disk_finding(ABOUT, SOCKET).level is Level.SKIP


def test_an_engines_disk_that_is_not_seen_is_skipped(tmp_path: Path) -> None:
    here = {"Name": socket.gethostname(), "DockerRootDir": str(tmp_path / "none")}
    assert disk_finding(here, SOCKET).level is Level.SKIP


# One server


@pytest.fixture
def facts(docker: StandIn, io_loop: IOLoop) -> Iterator[Any]:
    spawner = DockerSpawner()
    spawner.pool = PoolIdentity("pool")
    docker.add("tmpnb-pool-abc", labels.labels("pool", "abc", 8888, None))

    async def ask(server_id: str = "abc") -> ServerFacts:
        return await spawner.examination().server(server_id)

    yield ask
    io_loop.run_sync(spawner.close)


def stats(memory: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"memory_stats": memory}


async def test_what_is_only_cached_is_no_memory_of_a_server(docker: StandIn, facts: Any) -> None:
    used = {"usage": 90, "stats": {"total_inactive_file": 30}}
    docker.rule("GET /containers/.*/stats", lambda: stats(used), times=1)
    docker.rule("GET /containers/.*/stats", lambda: stats({}))
    # The stand-in knows no `exec`, as an image may know no `cat`.
    assert await facts() == ServerFacts(port=8888, memory=60)
    assert await facts() == ServerFacts(port=8888)


async def test_a_server_that_ended_tells_nothing(docker: StandIn, facts: Any) -> None:
    assert await facts("another") == ServerFacts()
    docker.refuse("GET /containers/json", 500, "broken")
    assert await facts() == ServerFacts()
