"""What bounds a container: the engine's settings for each wish, and what an engine cannot hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.hardening.limits import (
    DEFAULT,
    FEWEST,
    PAGE,
    Limits,
    Wanted,
    capabilities,
    gaps,
    home_volume,
    may_bound_disk,
    settings,
)
from tmpnb.spawners.docker.image.user import NOBODY, Person
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.spawners.docker_api.kind import missing_runtime

MB = 1024**2
JOVYAN = Person(1000, 100, "/home/jovyan")
SOUND = {
    "MemoryLimit": True,
    "SwapLimit": True,
    "PidsLimit": True,
    "CpuCfsQuota": True,
    "CPUShares": True,
    "SecurityOptions": ["name=seccomp,profile=default"],
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "Runtimes": {"runc": {"path": "runc"}},
}
ALL = Wanted(memory=1, cpu_quota=1, cpu_shares=2, processes=1)


def test_a_container_is_bounded_by_default() -> None:
    found = settings(Limits(), JOVYAN)
    assert found["cap_drop"] == ["ALL"]
    assert found["cap_add"] == []
    assert found["security_opt"] == ["no-new-privileges"]
    assert found["pids_limit"] == 1024
    assert found["ulimits"] == [
        {"Name": "core", "Soft": 0, "Hard": 0},
        {"Name": "nofile", "Soft": 4096, "Hard": 4096},
    ]
    assert found["log_config"] == {
        "Type": "json-file",
        "Config": {"max-size": "1m", "max-file": "2"},
    }
    assert found["init"] is True
    assert not {"read_only", "tmpfs", "storage_opt", "runtime"} & set(found)


def test_a_claimed_server_comes_back_whatever_ended_it() -> None:
    """Not `unless-stopped`: an engine that crashed takes its own clean-up for a wish."""
    assert settings(Limits(), JOVYAN)["restart_policy"] == {"Name": "always"}


@pytest.mark.parametrize(
    ("relaxed", "key", "value"),
    [
        ({"capabilities": (DEFAULT,)}, "cap_drop", None),
        ({"capabilities": ("CHOWN",)}, "cap_add", ["CHOWN"]),
        ({"new_privileges": True}, "security_opt", []),
        ({"processes": 0}, "pids_limit", None),
        ({"open_files": 0}, "ulimits", [{"Name": "core", "Soft": 0, "Hard": 0}]),
        ({"log_size": ""}, "log_config", None),
        ({"init": False}, "init", False),
        ({"runtime": "runsc"}, "runtime", "runsc"),
    ],
)
def test_each_bound_can_be_relaxed_alone(relaxed: dict[str, Any], key: str, value: object) -> None:
    usual, found = settings(Limits(), JOVYAN), settings(Limits(**relaxed), JOVYAN)
    assert found.get(key) == value
    changed = {name for name in usual | found if usual.get(name) != found.get(name)}
    assert changed - {"cap_add"} <= {key}


def test_a_read_only_server_writes_to_its_home_and_to_tmp() -> None:
    limits = Limits(read_only=True)
    found = settings(limits, JOVYAN)
    assert (found["read_only"], found["tmpfs"]) == (True, {"/tmp": "mode=1777"})  # noqa: S108 - inside
    assert home_volume(limits, JOVYAN) == "/home/jovyan"
    assert home_volume(Limits(), JOVYAN) is None


def test_the_engine_bounds_the_disk_where_it_can() -> None:
    limits = Limits(disk=1000, disk_by_engine=True)
    found = settings(limits, JOVYAN)
    assert found["storage_opt"] == {"size": "1000"}
    assert "read_only" not in found
    assert home_volume(limits, JOVYAN) is None


@pytest.mark.parametrize(
    "limits", [Limits(disk=8 * MB), Limits(disk=8 * MB, disk_by_engine=True, read_only=True)]
)
def test_else_memory_of_that_size_is_all_that_can_be_written(limits: Limits) -> None:
    found = settings(limits, JOVYAN)
    assert found["read_only"] is True
    assert found["tmpfs"] == {
        "/tmp": "mode=1777,size=4194304,nr_inodes=1024",  # noqa: S108 - inside
        "/home/jovyan": "uid=1000,gid=100,mode=755,exec,size=4194304,nr_inodes=1024",
    }
    assert "storage_opt" not in found
    assert home_volume(limits, JOVYAN) is None


def test_a_home_of_nobody_known_is_open_to_all_who_are_in_there() -> None:
    bound = "size=4194304,nr_inodes=1024"
    found = settings(Limits(disk=8 * MB), NOBODY)["tmpfs"]
    assert found["/home"] == f"mode=1777,exec,{bound}"


@pytest.mark.parametrize("volumes", [(), ("/home/jovyan/a",), ("/tmp/x", "/home/jovyan/a/b")])  # noqa: S108
@pytest.mark.parametrize("disk", [1, 5000, MB, 8 * MB + 1, 256 * MB])
def test_places_in_memory_hold_together_what_the_limit_says(
    disk: int, volumes: tuple[str, ...]
) -> None:
    tables = settings(Limits(disk=disk), replace(JOVYAN, volumes=volumes))["tmpfs"]
    options = [dict(o.partition("=")[::2] for o in text.split(",")) for text in tables.values()]
    sizes = [int(one["size"]) for one in options]
    assert len(sizes) == 2 + len(volumes)
    assert min(sizes) >= PAGE, "0 would be no bound"
    assert sum(sizes) <= max(disk, PAGE * len(sizes))
    assert all(0 < int(one["nr_inodes"]) <= max(FEWEST, disk // PAGE) for one in options)


def test_files_take_half_of_the_memory_at_most() -> None:
    assert Limits(disk=256 * MB, memory=512 * MB).files == 256 * MB
    assert Limits(disk=1024 * MB, memory=512 * MB).files == 256 * MB
    assert Limits(disk=64 * MB, memory=512 * MB).files == 64 * MB
    assert Limits(disk=64 * MB).files == 64 * MB, "without a limit of memory"
    assert Limits(memory=512 * MB).files == 0, "not bounded"
    found = settings(Limits(disk=1024 * MB, memory=16 * MB), JOVYAN)["tmpfs"]
    assert all("size=4194304," in options for options in found.values())


def test_where_the_engine_bounds_the_disk_volumes_in_the_home_are_in_memory() -> None:
    who = replace(JOVYAN, volumes=("/data", "/home/jovyan/work"))
    found = settings(Limits(disk=8 * MB, disk_by_engine=True), who)
    assert list(found["tmpfs"]) == ["/home/jovyan/work"]
    assert "read_only" not in found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        (" , ", ()),
        ("chown, CAP_NET_RAW", ("CHOWN", "NET_RAW")),
        ("default", (DEFAULT,)),
    ],
)
def test_capabilities_are_read_in_dockers_form(text: str, names: tuple[str, ...]) -> None:
    assert capabilities(text) == names


@pytest.mark.parametrize("text", ["default,CHOWN", "CHOWN;SETUID", "7"])
def test_capabilities_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"^--capabilities={text}: "):
        capabilities(text)


def test_a_sound_engine_has_no_gap_and_one_that_is_silent_is_not_accused() -> None:
    assert gaps(SOUND, ALL) == []
    assert gaps({}, ALL) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MemoryLimit", "memory is not bounded"),
        ("SwapLimit", "swapaccount=1"),
        ("PidsLimit", "processes are not bounded"),
        ("CpuCfsQuota", "--cpu-quota"),
        ("CPUShares", "--cpu-shares"),
    ],
)
def test_what_the_engine_cannot_enforce_is_said_if_it_is_wanted(name: str, said: str) -> None:
    [gap] = gaps(SOUND | {name: False}, ALL)
    assert said in gap
    assert gaps(SOUND | {name: False}, Wanted()) == []


def test_with_the_first_version_of_cgroups_the_memory_of_sockets_is_not_bounded() -> None:
    [gap] = gaps(SOUND | {"CgroupVersion": "1"}, ALL)
    assert gap.startswith("memory of sockets is not bounded: cgroup v1")
    assert "systemd.unified_cgroup_hierarchy=1" in gap
    assert gaps(SOUND | {"CgroupVersion": "2"}, ALL) == []
    assert gaps(SOUND | {"CgroupVersion": "1"}, Wanted(processes=1)) == []
    in_gvisor = Options("image", memory=1, limits=Limits(runtime="runsc")).wanted
    assert gaps(SOUND | {"CgroupVersion": "1"}, in_gvisor) == []
    none_at_all = gaps(SOUND | {"CgroupVersion": "1", "MemoryLimit": False}, Wanted(memory=1))
    assert len(none_at_all) == 1, "that says it all"


@pytest.mark.parametrize(
    ("driver", "backing", "can"),
    [
        ("overlay2", "extfs", False),
        ("overlay2", "xfs", True),
        ("btrfs", "", False),  # it counts the image as well
        ("devicemapper", "", False),
        ("zfs", "", True),
        ("vfs", "", False),
    ],
)
def test_whether_the_storage_bounds_a_disk_is_told_by_its_driver(
    driver: str, backing: str, can: bool
) -> None:
    about = {"Driver": driver, "DriverStatus": [["Backing Filesystem", backing], ["odd"]]}
    assert may_bound_disk(about) is can


def test_a_runtime_that_the_engine_lacks_is_named_with_those_it_has() -> None:
    assert missing_runtime(SOUND, "runsc") == "the engine has no runtime runsc, it has runc"
    for known in ("", "runc", "io.containerd.runsc.v1"):
        assert missing_runtime(SOUND, known) is None
    assert missing_runtime({}, "runsc") is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"disk_limit": "much"}, "--disk-limit=much: not a size"),
        ({"disk_limit": "256"}, "--disk-limit=256: 1m is the least; did you mean 256m"),
        ({"container_log_size": "little"}, "--container-log-size=little: not a size"),
        ({"capabilities": "default,CHOWN"}, "--capabilities=default,CHOWN"),
    ],
)
def test_a_wrong_bound_is_named_by_its_flag(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DockerSpawner(**wrong).limits()


def test_bounds_are_settings_of_the_spawner_in_files_and_documents() -> None:
    assert {"mem_limit", "capabilities", "image"} <= set(DockerSpawner.class_own_traits())
    assert "c.DockerSpawner.capabilities" in DockerSpawner.class_config_section()
