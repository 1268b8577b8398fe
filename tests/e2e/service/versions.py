"""The version of before an update, beside the one in the working tree: how each is run."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.running_service import Service
from tests.support.requirements import ROOT, missing

# The last version before the modules of tmpnb/ were put into packages.
FORMER = "fa811169c751a08101b102e513adf9d3b1e29415"
MARK = "+former"  # behind the version that its sources say, so that a service tells which it is
GIT = 120.0  # seconds for one command of git
HELP = 60.0  # seconds until a program has printed its flags


@dataclass(frozen=True, slots=True)
class Version:
    """One set of sources, and how a service is run from it.

    Attributes:
        program: The words that run it.
        environment: Besides what a service has.
        is_former: Whether it is that of before.
    """

    program: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_former: bool = False

    def install(self, service: Service) -> None:
        """Let the next start of a service run this one; its flags stay as they are."""
        service.program = list(self.program)
        service.add_environment(self.environment)

    async def runs(self, service: Service) -> bool:
        """Whether it is this one that a service runs, once that answers."""
        await service.until(lambda numbers: "version" in numbers, "it serves")
        said = str((await service.numbers())["version"])
        return said.endswith(MARK) == self.is_former

    def prints(self, *words: str) -> str:
        """Run the program with these words alone; return what it prints."""
        done = subprocess.run(  # noqa: S603 - our own arguments
            [*self.program, *words],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=HELP,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def flags(self) -> set[str]:
        """Return all flags and settings that it takes."""
        return set(re.findall(r"^ *(--[\w.-]+)", self.prints("--help-all"), re.MULTILINE))


def in_working_tree() -> Version:
    """Return the version that there will be after an update."""
    path = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    return Version([sys.executable, "-m", "tmpnb"], path)


def former(directory: Path) -> Version:
    """Return the version of before, whose sources are put into an empty directory."""
    found = archive(ROOT, FORMER, "tmpnb", "pyproject.toml")
    with tarfile.open(fileobj=io.BytesIO(found)) as sources:
        sources.extractall(directory, filter="data")
    _register(directory)
    with (directory / "tmpnb" / "__init__.py").open("a") as module:
        module.write(f"\n__version__ += {MARK!r}\n")
    # -P: not what lies in the current directory, as the working tree may.
    program = [sys.executable, "-P", "-m", "tmpnb"]
    return Version(program, {"PYTHONPATH": str(directory)}, is_former=True)


def _register(sources: Path) -> None:
    """Let Python find the spawners of some sources there, and not those of the working tree."""
    project = tomllib.loads((sources / "pyproject.toml").read_text())["project"]
    spawners = project["entry-points"]["tmpnb.spawners"]
    about = sources / "tmpnb-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tmpnb\nVersion: 0\n")
    lines = [f"{name} = {where}" for name, where in spawners.items()]
    (about / "entry_points.txt").write_text("\n".join(["[tmpnb.spawners]", *lines]))


def archive(clone: Path, commit: str, *paths: str) -> bytes:
    """Return some of a commit as a tar file; fail with what to do if the commit is not there."""
    if shutil.which("git") is None or not (clone / ".git").exists():
        missing("git, and a clone of the repository")
    if not _has(clone, commit):
        _complete(clone)
    if not _has(clone, commit):
        pytest.fail(
            f"the former version {commit[:12]} is not in this clone: git fetch --unshallow",
            pytrace=False,
        )
    return _git(clone, "archive", "--format=tar", commit, *paths).stdout


def _has(clone: Path, commit: str) -> bool:
    return _git(clone, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def _complete(clone: Path) -> None:
    """Fetch what a shallow clone lacks, where that takes no network."""
    origin = _git(clone, "remote", "get-url", "origin").stdout.decode().strip()
    if origin and Path(origin.removeprefix("file://")).is_dir():
        with suppress(subprocess.TimeoutExpired):
            _git(clone, "fetch", "--quiet", "--unshallow", "origin")


def _git(clone: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(clone), *words]
    return subprocess.run(command, capture_output=True, timeout=GIT)  # noqa: S603 - our own arguments
