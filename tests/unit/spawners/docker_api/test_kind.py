"""Docker or Podman, with root or without: how they are told apart, and what it changes."""

from __future__ import annotations

from typing import Any

import pytest

from tmpnb.spawners.docker.hardening.limits import Limits, gaps, settings
from tmpnb.spawners.docker.image.user import Person
from tmpnb.spawners.docker.options import Mount, Options
from tmpnb.spawners.docker.support import adapted, remarks
from tmpnb.spawners.docker_api.kind import Kind, honest, identity, kind_of, missing_runtime
from tmpnb.spawners.finding import Level

DOCKER = {"ID": "ABCD:EFGH", "Name": "desk", "DockerRootDir": "/var/lib/docker"}
PODMAN = {
    "ID": "invented-for-this-answer",
    "Name": "desk",
    "DockerRootDir": "/var/lib/containers/storage",
    "BuildahVersion": "1.28.2",
    "Rootless": False,
    "CgroupVersion": "1",
    "MemoryLimit": True,
    "PidsLimit": True,
    "DefaultRuntime": "crun",
    "Runtimes": {"crun": {}, "runsc": {}},
}
ROOTLESS = Kind("Docker", rootless=True)
ROOTLESS_PODMAN = Kind("Podman", rootless=True)


@pytest.mark.parametrize(
    ("about", "kind"),
    [
        ({}, Kind()),
        (DOCKER, Kind()),
        (DOCKER | {"SecurityOptions": ["name=seccomp", "name=rootless"]}, ROOTLESS),
        (PODMAN, Kind("Podman")),
        (PODMAN | {"Rootless": True, "CgroupVersion": "2"}, ROOTLESS_PODMAN),
        (PODMAN | {"Rootless": True}, Kind("Podman", rootless=True, boundless=True)),
    ],
)
def test_an_engine_is_told_by_what_it_says_of_itself(about: dict[str, Any], kind: Kind) -> None:
    assert kind_of(about) == kind


def test_an_engine_is_the_same_whenever_it_is_asked() -> None:
    assert identity(DOCKER) == "ABCD:EFGH"
    assert identity({}) == ""
    assert identity(PODMAN) == identity(PODMAN | {"ID": "invented-for-another"})
    assert identity(PODMAN) != identity(PODMAN | {"DockerRootDir": "/home/ann/storage"})


def test_a_rootless_podman_that_bounds_nothing_is_not_believed() -> None:
    wanted = Options("image", memory=1).wanted
    assert gaps(honest(PODMAN | {"CgroupVersion": "2"}), wanted) == []
    said = " ".join(gaps(honest(PODMAN | {"Rootless": True}), wanted))
    assert "memory is not bounded" in said
    assert "processes are not bounded" in said


def test_podman_is_not_asked_for_a_runtime_it_would_ignore() -> None:
    assert missing_runtime(PODMAN, "") is None
    assert missing_runtime(PODMAN, "crun") is None
    assert "Podman runs all containers by crun" in (missing_runtime(PODMAN, "runsc") or "")


def test_servers_that_podman_cannot_keep_apart_on_one_network_have_one_each() -> None:
    docker = Options("image", egress="none", network="lan")
    podman = adapted(docker, Kind("Podman"))
    assert (docker.apart, docker.place, docker.published) == (False, "lan", False)
    assert (podman.apart, podman.place, podman.published) == (True, "", False)
    meeting = adapted(
        Options("image", egress="none", network="lan", own_networks=True), podman.kind
    )
    assert (meeting.apart, meeting.place) == (True, "lan")
    assert adapted(Options("image"), podman.kind).published


def test_addresses_of_their_own_are_for_engines_that_can() -> None:
    wish = Options("image", own_addresses=True)
    kinds = (Kind(), Kind("Podman"), ROOTLESS_PODMAN, ROOTLESS)
    assert [adapted(wish, kind).own_addresses for kind in kinds] == [True, True, True, False]


OWN = {"egress": "none", "own_networks": True, "network": "lan"}


@pytest.mark.parametrize(
    ("settings", "kind", "level", "words"),
    [
        (
            {"egress": "none"},
            Kind(),
            Level.WARN,
            "every service of the engine's machine that is not",
        ),
        ({"network": "lan"}, ROOTLESS, Level.WARN, "its own containers only"),
        ({"egress": "none"}, ROOTLESS, Level.WARN, "its own containers only"),
        ({"egress": "internet"}, ROOTLESS, Level.FAIL, "do not reach a rootless Docker"),
        ({"host_network": True}, ROOTLESS, Level.WARN, "not this machine's"),
        ({"egress": "none"}, ROOTLESS_PODMAN, Level.FAIL, "--egress=none"),
        ({}, Kind("Podman"), Level.WARN, "restart of the machine"),
        ({"mounts": (Mount("/books", "/mnt", True),)}, Kind("Podman"), Level.WARN, "missing"),
    ],
)
def test_what_differs_is_said(
    settings: dict[str, Any], kind: Kind, level: Level, words: str
) -> None:
    found = remarks(adapted(Options("image", **settings), kind))
    assert [level for one in found if words in one.words] == [level]
    assert {one.level for one in found if words in one.words} == {level}


def test_of_docker_that_runs_as_root_there_is_nothing_to_say() -> None:
    for wish in ({}, {"network": "lan"}, {"egress": "internet"}, {"host_network": True}, OWN):
        assert remarks(adapted(Options("image", **wish), Kind())) == []


def test_podman_gives_a_home_in_memory_to_whom_it_runs() -> None:
    limits, person = Limits(disk=8), Person(1000, 100, "/home/jovyan")
    docker, podman = settings(limits, person), settings(limits, person, podman=True)
    assert "uid=1000" in docker["tmpfs"]["/home/jovyan"]
    assert podman["tmpfs"]["/home/jovyan"].split(",")[0] == "U"
    assert "uid=" not in podman["tmpfs"]["/home/jovyan"]
