"""The operator's own settings of a container add to ours, and what they weaken is said."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.hardening.limits import Limits, settings
from tmpnb.spawners.docker.hardening.merge import merged, weakened
from tmpnb.spawners.docker.image.user import Person
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker.support import remarks
from tmpnb.spawners.finding import Level

OURS = settings(Limits(), Person(1000, 100, "/home/jovyan"))
BOUND = settings(Limits(disk=8192), Person(1000, 100, "/home/jovyan"))
BY_ENGINE = settings(Limits(disk=4096, disk_by_engine=True), Person(1000, 100, "/home/jovyan"))
NNP = "no-new-privileges"
CORE = {"Name": "core", "Soft": 0, "Hard": 0}
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
        ({"ulimits": [NPROC]}, [CORE, NOFILE, NPROC]),
        ({"ulimits": [NOFILE | {"Hard": 5}]}, [CORE, NOFILE | {"Hard": 5}]),
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
    assert found["ulimits"] == [CORE, ulimit]
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
        ({"security_opt": ["label=type:spc_t"]}, "label=type:spc_t"),
        ({"security_opt": ["unmask=ALL"]}, "unmask=ALL"),
        ({"security_opt": ["writable-cgroups=true"]}, "writable-cgroups=true"),
        ({"security_opt": ["apparmor=own"]}, "apparmor=own"),
        ({"security_opt": ["systempaths=unconfined"]}, "systempaths=unconfined"),
        ({"security_opt": ["seccomp={\n" + "x" * 5000 + "}"]}, "seccomp={"),
        ({"group_add": [5, "docker"]}, "5, docker"),
        ({"cgroup_parent": "/"}, "cgroup_parent: servers are counted in /"),
        ({"cap_add": ["SYS_ADMIN"]}, "SYS_ADMIN"),
        ({"runtime": "runc"}, "runc"),
        ({"pid_mode": "host"}, "pid_mode"),
        ({"ipc_mode": "container:x"}, "ipc_mode"),
        ({"userns_mode": "host"}, "userns_mode"),
        ({"network_mode": "host"}, "network_mode"),
        ({"network_mode": "others"}, "network_mode: others"),
        ({"userns_mode": "ns:/proc/1/ns/user"}, "userns_mode: ns:/proc"),
        ({"userns_mode": "keep-id"}, "userns_mode: keep-id"),
        ({"cgroupns": "host"}, "cgroupns: host"),
        ({"uts_mode": "host"}, "uts_mode: host"),
        ({"links": {"db": "db"}}, "links"),
        ({"device_requests": [{"Count": -1}]}, "device_requests"),
        ({"device_cgroup_rules": ["a *:* rwm"]}, "device_cgroup_rules"),
        ({"volume_driver": "nfs"}, "volume_driver: nfs"),
        ({"devices": ["/dev/sda"]}, "devices"),
        ({"volumes_from": ["x"]}, "volumes_from"),
        ({"binds": ["/:/host"]}, "binds"),
        ({"mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]}, "mounts"),
        ({"mounts": [{"Type": "volume", "Source": "all", "Target": "/x"}]}, "share volumes"),
        ({"mounts": [{"Source": "all", "Target": "/x"}]}, "share volumes"),
        ({"mounts": [docker.types.Mount("/x", None)]}, "without a bound"),
        ({"mounts": [{"Type": "image", "Source": "i", "Target": "/x"}]}, "mounts"),
        ({"publish_all_ports": True}, "published"),
        ({"port_bindings": {22: 22}}, "published"),
        ({"pids_limit": 0}, "pids_limit"),
        ({"pids_limit": None}, "pids_limit"),
        ({"pids_limit": 5000}, "pids_limit"),
        ({"mem_limit": "4g"}, "mem_limit"),
        ({"memswap_limit": -1}, "memswap_limit"),
        ({"oom_kill_disable": True}, "oom_kill_disable"),
        ({"oom_score_adj": -500}, "oom_score_adj"),
        ({"auto_remove": True}, "auto_remove"),
        ({"cpu_rt_runtime": 95000}, "cpu_rt_runtime"),
        ({"ulimits": [{"Name": "rtprio", "Soft": 1, "Hard": 99}]}, "rtprio"),
        ({"tmpfs": {"/x": "rw,suid,dev"}}, "/x with dev, suid"),
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
    assert len(finding.line()) < 300


@pytest.mark.parametrize(
    "theirs",
    [
        {},
        {"security_opt": [f"{NNP}:true"]},
        {"network_mode": "none", "userns_mode": "private", "ipc_mode": "private"},
        {"oom_score_adj": 500, "auto_remove": False, "cpuset_cpus": "0", "blkio_weight": 10},
        {"cap_drop": ["CHOWN"]},
        {"shm_size": "1g", "group_add": []},
        {"pids_limit": 100, "mem_limit": "64m", "memswap_limit": 64 * 1024**2},
        {"read_only": True, "tmpfs": {"/run": ""}},
        {"mounts": [{"Type": "tmpfs", "Target": "/x"}]},
    ],
)
def test_what_weakens_nothing_is_not_spoken_of(theirs: dict[str, Any]) -> None:
    assert remarks(Options("image", memory=512 * 1024**2, extra_host_config=theirs)) == []


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"tmpfs": {"/home/jovyan": "exec,size=100g"}}, "tmpfs: /home/jovyan has the size"),
        ({"tmpfs": {"/home/jovyan/": "exec,size=100g"}}, "tmpfs: /home/jovyan has the size"),
        ({"tmpfs": ["/home/jovyan:exec,size=100g"]}, "tmpfs: /home/jovyan has the size"),
        ({"tmpfs": {"/x": "size=10,size=5000"}}, "tmpfs: /x has the size 5000"),
        ({"tmpfs": {"/x": "size=50%"}}, "tmpfs: /x has the size 50%"),
        ({"tmpfs": {"/x": "size=0"}}, "tmpfs: /x has the size 0"),
        ({"tmpfs": {"/x": ""}}, "tmpfs: /x has no size"),
        ({"mounts": [{"Type": "tmpfs", "Target": "/x"}]}, "tmpfs: /x has no size"),
        (
            {"mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": 4097}}]},
            "tmpfs: /x has the size 4097",
        ),
        ({"shm_size": "1g"}, "tmpfs: /dev/shm has the size 1g"),
    ],
)
def test_a_place_in_memory_that_is_larger_than_the_disk_is_said(
    theirs: dict[str, Any], said: str
) -> None:
    for ours in (BOUND, BY_ENGINE):
        (found,) = weakened(ours, theirs)
        assert found.startswith(said)


@pytest.mark.parametrize(
    "theirs",
    [
        {"tmpfs": {"/home/jovyan": "exec,size=4096", "/x": "size=4095"}},
        {"mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": 4096}}]},
        {"shm_size": 4096},
    ],
)
def test_a_place_in_memory_within_the_disk_is_not_spoken_of(theirs: dict[str, Any]) -> None:
    assert weakened(BOUND, theirs) == weakened(BY_ENGINE, theirs) == []


def test_a_bound_on_the_disk_that_is_taken_away_is_said() -> None:
    assert weakened(BOUND, {"read_only": False}) == ["read_only: False in place of True"]
    assert weakened(BOUND, {"tmpfs": {"/x": ""}}) == ["tmpfs: /x has no size"]
    closed = Options("image", egress="none", extra_host_config={"dns": ["9.9.9.9"]})
    assert "names are looked up outside" in remarks(closed)[-1].words
