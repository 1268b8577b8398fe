"""`make bench` in small: it writes its report, and leaves nothing in the engine, Ctrl-C or not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import docker
import pytest
from docker.errors import NotFound

from tests.support.engines.docker import RealEngine
from tests.support.requirements import NODE_MODULES, ROOT, chp, missing

pytestmark = [pytest.mark.docker, pytest.mark.chp]

DEADLINE = 240.0  # seconds
TINY = "tmpnb-test/stub"


@pytest.fixture(autouse=True)
def _parts() -> None:
    chp()
    engine = RealEngine.needed(missing)
    try:
        engine.client.inspect_image(TINY)
    except NotFound:
        missing(f"the image {TINY}: make images")
    finally:
        engine.client.close()


def start(out: Path) -> subprocess.Popen[str]:
    """Start the part that needs tiny servers only."""
    path = f"{os.environ['PATH']}{os.pathsep}{NODE_MODULES / '.bin'}"
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "benchmarks.compare.run", "--quick", "--only", "g", f"--out={out}"],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    """Wait for its end; return what it printed."""
    try:
        return process.communicate(timeout=DEADLINE)[0]
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=DEADLINE)


def left(printed: str) -> list[str]:
    """Return what still carries one of the labels that were said."""
    labels = re.findall(r"tmpnb\.benchmark=\w+", printed)
    assert labels
    client = docker.APIClient(version="auto", **docker.utils.kwargs_from_env())
    found: list[str] = []
    for label in labels:
        wanted = {"label": label}
        found += [c["Id"] for c in client.containers(all=True, filters=wanted)]
        found += [v["Name"] for v in client.volumes(filters=wanted)["Volumes"] or ()]
    client.close()
    return found


def test_it_writes_tables_and_values_and_removes_what_it_made(tmp_path: Path) -> None:
    process = start(tmp_path)
    printed = end(process)
    assert process.returncode == 0, printed
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["missing"], report["errors"]) == ([], {})
    rows = {(row["what"], row["system"]) for row in report["rows"]}
    things = ("requests a second", "websocket round trip")
    assert rows == {(what, system) for what in things for system in ("tmpnb", "direct")}
    assert all(value > 0 for row in report["rows"] for value in row["values"])
    text = (tmp_path / "README.md").read_text()
    assert "| websocket round trip |" in text
    assert os.uname().nodename not in text
    assert left(printed) == []


def test_ctrl_c_removes_everything(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    printed = ""
    for line in iter(process.stdout.readline, ""):
        printed += line
        if "requests and echoes" in line:
            break
    process.send_signal(signal.SIGINT)
    printed += end(process)
    assert process.returncode == 130, printed
    assert left(printed) == []
