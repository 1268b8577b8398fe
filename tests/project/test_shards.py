"""The order of a test run, and what ends it: tests/support/shards."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.requirements import ROOT
from tests.support.shards import engine, enter, plugin

CONFTEST = """
from tests.support.shards import plugin
from tests.support.shards.plugin import *

plugin.Network.join = staticmethod(lambda path: print("joined", path))
plugin.STATE = __import__("pathlib").Path(__file__).with_name("engine")
plugin.DEADLINE = 0.2
"""
SUITE = """
import pytest

@pytest.mark.docker
def test_of_an_engine():
    print("here is the engine")

@pytest.mark.docker
@pytest.mark.long
def test_of_an_engine_for_long(): pass

@pytest.mark.browser
def test_of_a_browser(): pass

def test_quick(): assert {quick}
"""
MARKS = "".join(f"\n    {name}: of this test" for name in (*sorted(plugin.REAL_PARTS), "long"))


def run(folder: Path, *, quick: bool = True, said: str = "ready") -> tuple[int, str]:
    """Run the little suite as the worker of a shard does; return exit code and output."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {ROOT}\nmarkers ={MARKS}\n")
    (folder / "test_it.py").write_text(SUITE.format(quick=quick))
    if said:
        (folder / "engine").write_text(said)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--tb=short", "."],
        cwd=folder,
        env={"TMPNB_SHARD": str(folder), "TMPNB_SHARD_NETWORK": "its network"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def ran(output: str) -> list[str]:
    """Return the names of the tests that ran, in order."""
    lines = [line for line in output.splitlines() if line.startswith("test_it.py::")]
    return [line.split("::")[1].split()[0] for line in lines]


def test_quick_ones_run_first_and_long_ones_before_the_others(tmp_path: Path) -> None:
    code, output = run(tmp_path)
    assert code == 0, output
    assert ran(output) == [
        "test_quick",
        "test_of_a_browser",
        "test_of_an_engine_for_long",
        "test_of_an_engine",
    ]


def test_a_quick_one_that_fails_ends_the_run(tmp_path: Path) -> None:
    code, output = run(tmp_path, quick=False)
    assert code != 0
    assert ran(output) == ["test_quick"]
    assert "a quick test failed, so those with real parts are left out" in output
    assert "joined its network" in output


def test_why_a_shard_has_no_engine_is_told_by_each_test_that_needs_it(tmp_path: Path) -> None:
    code, output = run(tmp_path, said="the images could not be built")
    assert code == 1
    assert output.count("\nthe images could not be built") == 2, "a line for each, no traceback"
    assert re.search(r"2 passed, .*2 errors, 2 rerun", output), "real parts have a second try"


def test_an_engine_of_which_nothing_is_known_is_not_waited_for_without_end(tmp_path: Path) -> None:
    code, output = run(tmp_path, said="")
    assert code == 1
    assert "nothing is known of the shard's engine after 0.2 s" in output


def test_images_are_not_copied_while_another_run_builds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "IMAGES", 0.1)
    kept, data = tmp_path / "kept", tmp_path / "data"
    (kept / "overlay2").mkdir(parents=True)
    data.mkdir()
    (kept / "overlay2" / "layer").write_text("a file of an image")
    (kept / "names.db").write_text("what an engine writes to")
    (tmp_path / "prepared").write_text(str(kept))
    with (tmp_path / "kept.lock").open("a") as builder:
        fcntl.flock(builder, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="is still built"):
            engine.copy_images(tmp_path, data)
    engine.copy_images(tmp_path, data)
    assert (data / "overlay2" / "layer").samefile(kept / "overlay2" / "layer")
    assert not (data / "names.db").samefile(kept / "names.db")


def test_two_shards_never_have_one_number(tmp_path: Path) -> None:
    assert [enter.new_number(tmp_path) for _ in range(3)] == [1, 2, 3]


def test_marks_of_real_parts_are_declared(pytestconfig: pytest.Config) -> None:
    declared = {line.split(":")[0] for line in pytestconfig.getini("markers")}
    assert declared >= plugin.REAL_PARTS | {"long"}


def real_files() -> list[Path]:
    """Return the files of tests with real parts that share something within the file."""
    shared = 'scope="module"'
    files = (
        path for folder in ("e2e", "contract") for path in (ROOT / "tests" / folder).rglob("*.py")
    )
    return [path for path in files if shared in path.read_text(encoding="utf-8")]


def test_tests_that_share_something_costly_in_a_file_stay_in_one_shard() -> None:
    found = real_files()
    assert len(found) > 5
    apart = [path.name for path in found if "xdist_group(" not in path.read_text(encoding="utf-8")]
    assert apart == []


GROUP = """
import pytest

@pytest.mark.xdist_group("costly")
@pytest.mark.parametrize("number", range(6))
def test_it(number, worker_id): open(f"ran-{worker_id}", "a").close()
"""


def test_a_group_runs_on_one_worker(tmp_path: Path) -> None:
    """Which pytest-xdist forgets without a word where a new pytest has other names for tests."""
    (tmp_path / "test_it.py").write_text(GROUP)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--numprocesses=2", "--dist=loadgroup", "."],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "6 passed" in done.stdout, done.stdout + done.stderr
    assert len(list(tmp_path.glob("ran-*"))) == 1
