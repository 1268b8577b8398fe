"""The operator's own settings of a container add to ours, and what they weaken is said."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from tmpnb.errors import ConfigError
from tmpnb.finding import Level
from tmpnb.spawners.docker_fit import remarks
from tmpnb.spawners.docker_hardening import Limits, settings
from tmpnb.spawners.docker_merge import merged, weakened
from tmpnb.spawners.docker_options import Options
from tmpnb.spawners.docker_person import Person

OURS = settings(Limits(), Person(1000, 100, "/home/jovyan"))
BOUND = settings(Limits(disk=1000), Person(1000, 100, "/home/jovyan"))
NNP = "no-new-privileges"
NOFILE = {"Name": "nofile", "Soft": 4096, "Hard": 4096}
NPROC = {"Name": "nproc", "Soft": 9, "Hard": 9}


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        ({"security_opt": ["label=disable"]}, [NNP, "label=disable"]),
        (
            {"security_opt": ("label=type:a", "label=level:b")},
            [NNP, "label=type:a", "label=level:b"],
        ),
        ({"security_opt": [NNP]}, [NNP]),
        ({"security_opt": [f"{NNP}:true"]}, [f"{NNP}:true"]),
        ({"security_opt": [f"{NNP}=false"]}, [f"{NNP}=false"]),
        ({"security_opt": []}, [NNP]),
        ({"security_opt": None}, [NNP]),
        ({"cap_drop": ["CHOWN"]}, ["ALL", "CHOWN"]),
        ({"cap_drop": []}, ["ALL"]),
        ({"cap_add": ["CHOWN"]}, ["CHOWN"]),
        ({"ulimits": [NPROC]}, [NOFILE, NPROC]),
        ({"ulimits": [NOFILE | {"Hard": 5}]}, [NOFILE | {"Hard": 5}]),
        ({"group_add": [100]}, [100]),
        ({"devices": ["/dev/fuse"]}, ["/dev/fuse"]),
        ({"pids_limit": 5}, 5),
        ({"log_config": {"Type": "none"}}, {"Type": "none"}),
    ],
)
def test_lists_are_added_to_and_the_rest_goes_before(theirs: dict[str, Any], found: Any) -> None:
    (name,) = theirs
    assert merged(OURS, theirs) == {**OURS, name: found}


@pytest.mark.parametrize("tmpfs", [{"/run": "size=1m"}, ["/run:size=1m"], {"/run/": "size=1m"}])
def test_a_tmpfs_more_takes_none_away(tmpfs: Any) -> None:
    found = merged(BOUND, {"tmpfs": tmpfs})["tmpfs"]
    assert found == {**BOUND["tmpfs"], "/run": "size=1m"}


@pytest.mark.parametrize("hosts", [{"b": "2.2.2.2"}, ["b:2.2.2.2"]])
def test_host_names_of_both_kinds_are_known(hosts: Any) -> None:
    found = merged(merged({}, {"extra_hosts": hosts}), {"extra_hosts": ["a:1.1.1.1", "a:3.3.3.3"]})
    assert found == {"extra_hosts": ["b:2.2.2.2", "a:1.1.1.1", "a:3.3.3.3"]}


def test_what_docker_py_makes_is_read_as_well() -> None:
    ulimit = docker.types.Ulimit(name="nofile", soft=1, hard=2)
    mount = docker.types.Mount("/data", "/srv", type="bind")
    found = merged(OURS, {"ulimits": [ulimit], "mounts": [mount]})
    assert found["ulimits"] == [ulimit]
    assert weakened(OURS, {"ulimits": [ulimit]}) == []
    assert weakened(OURS, {"mounts": [mount]}) == [
        "mounts: servers reach directories of the engine's machine"
    ]


@pytest.mark.parametrize(
    "theirs",
    [{"security_opt": "label=disable"}, {"cap_drop": "ALL"}, {"ulimits": ["x"]}, {"tmpfs": 1}],
)
def test_what_has_the_wrong_type_is_named(theirs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"extra_host_config: .*{next(iter(theirs))}"):
        merged(OURS, theirs)


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"privileged": True}, "privileged"),
        ({"security_opt": ["label=disable"]}, "label=disable"),
        ({"security_opt": ["label:disable"]}, "label:disable"),
        ({"security_opt": ["seccomp=unconfined"]}, "seccomp=unconfined"),
        ({"security_opt": ["apparmor:unconfined"]}, "apparmor:unconfined"),
        ({"security_opt": [f"{NNP}:false"]}, "gain privileges"),
        ({"cap_add": ["SYS_ADMIN"]}, "SYS_ADMIN"),
        ({"runtime": "runc"}, "runc"),
        ({"pid_mode": "host"}, "pid_mode"),
        ({"ipc_mode": "container:x"}, "ipc_mode"),
        ({"userns_mode": "host"}, "userns_mode"),
        ({"network_mode": "host"}, "network_mode"),
        ({"devices": ["/dev/sda"]}, "devices"),
        ({"volumes_from": ["x"]}, "volumes_from"),
        ({"binds": ["/:/host"]}, "binds"),
        ({"mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]}, "mounts"),
        ({"publish_all_ports": True}, "published"),
        ({"port_bindings": {22: 22}}, "published"),
        ({"pids_limit": 0}, "pids_limit"),
        ({"pids_limit": None}, "pids_limit"),
        ({"pids_limit": 5000}, "pids_limit"),
        ({"mem_limit": "4g"}, "mem_limit"),
        ({"memswap_limit": -1}, "memswap_limit"),
        ({"oom_kill_disable": True}, "oom_kill_disable"),
        ({"ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 999_999}]}, "nofile"),
        ({"log_config": {"Type": "json-file"}}, "log_config"),
        ({"init": False}, "init"),
        ({"restart_policy": {"Name": "no"}}, "restart_policy"),
    ],
)
def test_what_is_weakened_is_said(theirs: dict[str, Any], said: str) -> None:
    options = Options("image", memory=512 * 1024**2, extra_host_config=theirs)
    (finding,) = remarks(options)
    assert (finding.level, finding.topic) == (Level.WARN, "walls")
    assert said in finding.words
    assert "\n" not in finding.line()


@pytest.mark.parametrize(
    "theirs",
    [
        {},
        {"security_opt": ["label=type:x", NNP]},
        {"cap_drop": ["CHOWN"]},
        {"shm_size": "1g", "group_add": [5]},
        {"pids_limit": 100, "mem_limit": "64m", "memswap_limit": 64 * 1024**2},
        {"read_only": True, "tmpfs": {"/run": ""}},
        {"mounts": [{"Type": "volume", "Source": "x", "Target": "/x"}]},
    ],
)
def test_what_weakens_nothing_is_not_spoken_of(theirs: dict[str, Any]) -> None:
    assert remarks(Options("image", memory=512 * 1024**2, extra_host_config=theirs)) == []


def test_a_bound_on_the_disk_that_is_taken_away_is_said() -> None:
    assert weakened(BOUND, {"read_only": False}) == ["read_only: False in place of True"]
    assert weakened(BOUND, {"tmpfs": {"/x": ""}}) == ["tmpfs: /x has no size"]
    closed = Options("image", egress="none", extra_host_config={"dns": ["9.9.9.9"]})
    assert "names are looked up outside" in remarks(closed)[0].words
