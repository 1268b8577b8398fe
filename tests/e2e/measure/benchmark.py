"""Run a benchmark as an operator does, when all is there that it needs."""

from __future__ import annotations

import os
import subprocess
import sys

from docker.errors import NotFound

from tests.support.engines.docker import RealEngine
from tests.support.requirements import NODE_MODULES, ROOT, missing

STUB_IMAGE = "tmpnb-test/stub"
DEADLINE = 480.0  # seconds for a benchmark of the size of a test


def needs_stub() -> None:
    """Skip the test, or fail it in CI, without an engine or the tiny image."""
    engine = RealEngine.needed(missing)
    try:
        engine.client.inspect_image(STUB_IMAGE)
    except NotFound:
        missing(f"the image {STUB_IMAGE}: make images")
    finally:
        engine.client.close()


def start(name: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a benchmark; what it prints, errors included, can be read from its `stdout`."""
    path = f"{os.environ['PATH']}{os.pathsep}{NODE_MODULES / '.bin'}"
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", f"benchmarks.{name}.run", *arguments],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(name: str, *arguments: str) -> tuple[int, str]:
    """Run a benchmark to its end; return its exit code and what it printed."""
    process = start(name, *arguments)
    try:
        printed, _ = process.communicate(timeout=DEADLINE)
    finally:
        end(process)
    return process.returncode, printed


def end(process: subprocess.Popen[str]) -> None:
    """End a benchmark in order, if it still runs: it removes what it made. Closes its output."""
    with process:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=DEADLINE)
