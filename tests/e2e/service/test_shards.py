"""What a shard is: a world with an engine of its own, of which nothing is left when it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.faults.own_engine import _wait
from tests.support.requirements import ROOT, missing
from tests.support.shards import enter
from tmpnb.system.process import PROC

pytestmark = pytest.mark.docker

CGROUPS = Path("/sys/fs/cgroup")
# The worker of the shard: a container runs, and a process that nobody ends.
WORKER = """
import os, pathlib, subprocess, sys, time
deadline = time.monotonic() + 90
while not pathlib.Path("/run/tmpnb-engine").exists() and time.monotonic() < deadline:
    time.sleep(0.05)
print("engine", pathlib.Path("/run/tmpnb-engine").read_text(), flush=True)
words = "docker run --detach --network=host tmpnb-test/notebook sleep 600"
print("container", subprocess.run(words.split(), capture_output=True, text=True).stdout.strip())
print("containers", subprocess.run(["docker", "ps", "-q"], capture_output=True, text=True).stdout)
subprocess.Popen(["sleep", "600"], start_new_session=True)
print("up", flush=True)
time.sleep(600)
"""


class Shard:
    """A shard inside the one that this test runs in, as a run's first shard is made."""

    def __init__(self) -> None:
        if "TMPNB_SHARD" not in os.environ:
            missing("root, as shards need it")
        self.run = Path(tempfile.mkdtemp(prefix=f"{os.environ['TMPNB_SHARD_NAME']}-"))
        shutil.copy(Path(os.environ["TMPNB_SHARD_RUN"]) / "prepared", self.run)
        (self.run / "images").touch()
        self.store = ROOT / ".cache" / "shards" / self.run.name
        self.store.mkdir()
        self.process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, enter.__file__, str(self.run), str(self.store), "-c", WORKER],
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> dict[str, str]:
        """Return what the worker says until all is up."""
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "up\n")
        words = (line.strip().partition(" ") for line in lines)
        return {name: value for name, _, value in words if name}

    def sweep(self) -> None:
        words = [ROOT / "scripts" / "shard-sweep", str(self.run)]
        subprocess.run(words, check=True, timeout=60)  # noqa: S603 - our own words

    def left(self) -> list[str]:
        """Return what is there of it: processes, control groups, mounts, directories."""
        name = self.run.name
        found = [line for line in commands() if name in line]
        found += [str(path) for path in (*CGROUPS.glob(f"{name}*"), *CGROUPS.glob(f"*/{name}*"))]
        found += [line for line in Path("/proc/mounts").read_text().splitlines() if name in line]
        return [*found, *(str(path) for path in (self.run, self.store) if path.exists())]


def commands() -> Iterator[str]:
    """Yield the command line of every process but our own."""
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended meanwhile
                continue


@pytest.fixture
def shard() -> Iterator[Shard]:
    made = Shard()
    yield made
    made.process.kill()
    made.process.communicate()
    made.sweep()


def containers() -> str:
    """Return the ids of what runs in the engine that this test has."""
    words = ["docker", "ps", "--quiet", "--no-trunc"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own words


def test_nothing_is_left_of_a_shard_that_was_killed(shard: Shard) -> None:
    said = shard.said()
    assert said["engine"] == "ready"
    assert said["containers"] == said["container"][:12], "an engine with nothing else in it"
    assert said["container"] not in containers(), "an engine of its own"
    assert len(shard.left()) > 4
    shard.process.kill()
    _wait(lambda: not [c for c in commands() if shard.run.name in c], 30, "all has ended")
    shard.sweep()
    assert shard.left() == []
    assert Path(os.environ["TMPNB_SHARD"]).exists(), "the shard around it is as it was"
