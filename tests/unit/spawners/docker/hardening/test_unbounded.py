"""What nothing bounds is said in one line each, with what bounds it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tmpnb.spawners.docker.hardening.limits import Limits
from tmpnb.spawners.docker.hardening.unbounded import QUOTAS, home_finding, unbounded
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.finding import Level

MB = 1024**2
LIMITS = Limits(disk=256 * MB, memory=512 * MB)
BOUND = Options("image", memory=512 * MB, cpu_quota=100_000, limits=LIMITS)
EXT4 = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}
XFS = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "xfs"]]}


def test_where_all_is_bounded_there_is_nothing_to_say() -> None:
    assert unbounded(BOUND) == []


@pytest.mark.parametrize(
    ("limits", "said", "mend"),
    [
        ({"memory": 0}, "memory is not bounded", "--mem-limit=512m"),
        ({"processes": 0}, "processes are not bounded", "--pids-limit=1024"),
        ({"open_files": 0}, "open files are not bounded", "--nofile-limit=4096"),
        ({"log_size": ""}, "what servers print", "--container-log-size=1m"),
        ({"disk": 0}, "neither disk nor inodes are bounded", "--disk-limit=256m"),
        ({"disk": 0, "read_only": True}, "neither disk nor inodes", "--disk-limit=256m"),
        ({"disk_by_engine": True}, "inodes are not bounded", "--read-only beside"),
    ],
)
def test_each_bound_that_is_missing_is_named_with_its_flag(
    limits: dict[str, Any], said: str, mend: str
) -> None:
    [found] = unbounded(replace(BOUND, limits=replace(LIMITS, **limits)))
    assert (found.level, found.topic) == (Level.WARN, "bounds")
    assert said in found.words
    assert mend in found.mend


def test_processors_are_bounded_by_a_quota_alone() -> None:
    [found] = unbounded(replace(BOUND, cpu_quota=None))
    assert "processors are shared evenly, and not bounded" in found.words
    assert "--cpu-quota=100000" in found.mend


def test_root_writes_to_files_that_no_storage_counts() -> None:
    by_engine = replace(LIMITS, disk_by_engine=True, root_allowed=True)
    said = [f.words for f in unbounded(replace(BOUND, limits=by_engine))]
    assert any("/etc/hosts" in words for words in said)
    assert unbounded(replace(BOUND, limits=replace(by_engine, read_only=True))) == []


@pytest.mark.parametrize(
    ("limits", "theirs"),
    [
        ({"processes": 0}, {"pids_limit": 9}),
        ({"log_size": ""}, {"log_config": {"Type": "none"}}),
        ({"disk": 0}, {"storage_opt": {"size": "1g"}}),
        ({}, {"nano_cpus": 10**9}),
    ],
)
def test_what_the_operator_bounds_otherwise_is_bounded(
    limits: dict[str, Any], theirs: dict[str, Any]
) -> None:
    quota = None if "nano_cpus" in theirs else BOUND.cpu_quota
    own = replace(BOUND, cpu_quota=quota, limits=replace(LIMITS, **limits))
    assert unbounded(replace(own, extra_host_config=theirs)) == []


def test_files_in_memory_are_told_with_their_size_and_the_way_to_have_them_on_disk() -> None:
    found = home_finding(EXT4, BOUND)
    assert found is not None
    assert found.level is Level.OK
    assert "home and /tmp of a server are in memory, 256 MB together" in found.words
    assert QUOTAS in found.words


def test_a_storage_that_may_bound_it_is_taken_at_its_word_until_it_was_tried() -> None:
    guess, proved = home_finding(XFS, BOUND), home_finding(XFS, BOUND, tried=True)
    assert guess is not None
    assert "if it has quotas" in guess.words
    assert proved is not None
    assert "are in memory" in proved.words
    by_engine = replace(BOUND, limits=replace(LIMITS, disk_by_engine=True))
    found = home_finding(XFS, by_engine, tried=True)
    assert found is not None
    assert found.words == "the storage (overlay2) bounds the disk of a server to 256 MB"


@pytest.mark.parametrize(
    ("limits", "said", "mend"),
    [
        ({"disk": 1024 * MB}, "256 MB together", "raise --mem-limit, or lower --disk-limit"),
        ({"memory": 0}, "not bounded", "--mem-limit=512m"),
    ],
)
def test_files_that_memory_cannot_hold_are_a_warning(
    limits: dict[str, Any], said: str, mend: str
) -> None:
    found = home_finding(EXT4, replace(BOUND, limits=replace(LIMITS, **limits)))
    assert found is not None
    assert (found.level, found.mend) == (Level.WARN, mend)
    assert said in found.words


def test_without_a_limit_there_is_no_word_of_homes() -> None:
    assert home_finding(EXT4, replace(BOUND, limits=Limits())) is None
