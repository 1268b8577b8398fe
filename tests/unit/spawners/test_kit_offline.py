"""The part of the kit that says why a cell failed where servers have no internet."""

from __future__ import annotations

import builtins
import errno
import runpy
import socket
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import pytest

from tmpnb.spawners import kit

START = kit.DIRECTORY / "offline" / "start.py"
WORD = "This notebook has no internet"


class Shell:
    """As much of IPython as the file meets."""

    def __init__(self) -> None:
        self.user_ns: dict[str, object] = {}
        self.events = self
        self.after: list[Callable[[Any], None]] = []

    def register(self, event: str, callback: Callable[[Any], None]) -> None:
        assert event == "post_run_cell"
        self.after.append(callback)

    def ran(self, cell: str, *, code: int | None = None, error: Exception | None = None) -> None:
        if code is not None:
            self.user_ns["_exit_code"] = code
        info = SimpleNamespace(raw_cell=cell)
        for callback in self.after:
            callback(SimpleNamespace(info=info, error_in_exec=error))


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = Shell()
    monkeypatch.setattr(builtins, "get_ipython", lambda: made, raising=False)
    monkeypatch.setenv("PYTHONSTARTUP", str(START))
    names = {name for name in runpy.run_path(str(START)) if not name.startswith("__")}
    assert names == set(), "the user's names stay as they are"
    return made


@pytest.mark.parametrize(
    "cell",
    [
        "%pip install polars",
        "!pip install polars",
        "import sys\n!{sys.executable} -m pip install polars",
        "  !pip3.11 install polars",
        "!/opt/venv/bin/pip install polars",
        "!sudo apt-get install gcc",
        "%conda install gcc",
        "!git clone https://example.org/a",
        "!curl -O https://example.org/a",
    ],
)
def test_it_is_said_after_a_program_that_fetches_has_failed(
    shell: Shell, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    shell.ran(cell, code=0)
    assert capsys.readouterr().err == ""
    shell.ran(cell, code=1)
    assert WORD in capsys.readouterr().err


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__context__ = inner
    return outer


UNKNOWN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
FAILED = subprocess.CalledProcessError(1, "bash")


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ("read()", UNKNOWN),
        ("read()", URLError(UNKNOWN)),
        ("read()", OSError(errno.ENETUNREACH, "Network is unreachable")),
        ("read()", caused(RuntimeError("x"), caused(ValueError("y"), UNKNOWN))),
        ("read()", URLError(TimeoutError("timed out"))),
        ("%%bash\npip install polars", FAILED),
    ],
    ids=["name", "urllib", "network", "cause", "late", "bash"],
)
def test_it_is_said_after_an_error_of_the_network(
    shell: Shell, capsys: pytest.CaptureFixture[str], cell: str, error: Exception
) -> None:
    shell.ran(cell, error=error)
    assert WORD in capsys.readouterr().err


def endless() -> Exception:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    return first


@pytest.mark.parametrize(
    ("cell", "code", "error"),
    [
        ("!ls nowhere", 2, None),
        ("pip = 3", 1, None),  # of the cell before
        ("1 / 0", None, ZeroDivisionError()),
        ("open('x')", None, FileNotFoundError(errno.ENOENT, "no such file")),
        ("connect()", None, ConnectionRefusedError(errno.ECONNREFUSED, "refused")),
        ("await wait_for(work(), 1)", None, TimeoutError()),
        ("%pip install polars", 1, ZeroDivisionError()),
        ("%%bash\nls nowhere", None, FAILED),
        ("", None, endless()),
    ],
)
def test_nothing_is_said_of_other_failures(
    shell: Shell,
    capsys: pytest.CaptureFixture[str],
    cell: str,
    code: int | None,
    error: Exception | None,
) -> None:
    shell.ran(cell, code=code, error=error)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("found", [lambda: None, lambda: object(), lambda: 1 / 0])
def test_without_ipython_or_with_another_one_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: object
) -> None:
    monkeypatch.setattr(builtins, "get_ipython", found, raising=False)
    monkeypatch.setenv("PYTHONSTARTUP", str(START))
    runpy.run_path(str(START))
    assert capsys.readouterr() == ("", "")


def test_only_servers_without_internet_are_told() -> None:
    told = {
        "PYTHONSTARTUP": "/kit/offline/start.py",
        "PIP_RETRIES": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    with_it = kit.environment("/kit", {}, https=False)
    assert kit.environment("/kit", {}, https=False, offline=True) == with_it | told
    assert not told.keys() & with_it.keys()


def test_what_the_image_says_itself_counts() -> None:
    own = {"PYTHONSTARTUP": "/own.py", "PIP_RETRIES": "3"}
    assert kit.environment("/kit", own, https=False, offline=True).keys() & own.keys() == set()
