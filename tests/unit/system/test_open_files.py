"""Open files: the limit is raised as far as it goes, and told where it is too low."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tmpnb.system import open_files


def test_the_limit_is_raised_to_the_hard_one_told_and_inherited() -> None:
    code = (
        "import resource, subprocess\n"
        "from tmpnb.system.open_files import raise_limit\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))\n"
        "print(raise_limit(), raise_limit(), flush=True)\n"
        "subprocess.run(['sh', '-c', 'ulimit -n'], check=True)\n"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = open_files.MOST
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    child = [sys.executable, "-c", code]
    said = subprocess.run(child, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours
    assert said.split() == [str(wanted)] * 3


def test_each_open_notebook_needs_its_page_and_three_websockets() -> None:
    assert open_files.needed(0) == open_files.BASE
    assert open_files.needed(11) - open_files.needed(10) == 2 + 2 * 3


def test_advice_is_for_those_below_what_is_needed() -> None:
    wanted = open_files.needed(100)
    assert open_files.advice(wanted, 100) is None
    said = open_files.advice(wanted - 1, 100)
    assert said is not None
    for part in (f"{wanted - 1} files", f"needs {wanted} for 100", "ulimit -n", "LimitNOFILE="):
        assert part in said
    assert "ulimits in Compose" in said


@pytest.mark.parametrize("capacity", [1, 117])
def test_the_usual_limit_is_enough_for_some(capacity: int) -> None:
    assert open_files.advice(1024, capacity) is None
