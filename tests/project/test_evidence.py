"""A test that fails shows what its own parts said last, without secrets, in every kind of run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import evidence
from tests.support.evidence import without_secrets
from tests.support.requirements import ROOT

PLUGINS = ("tests.support.evidence", "pytest_rerunfailures", "xdist.plugin")
SECRET = "z" * 20

PARTS = """
import pytest
from tests.support import evidence

TRIES = []
SECRET = "z" * 20


def test_passes():
    evidence.of("one that is well", lambda: "said by the one that is well")


def test_fails():
    evidence.of("proxy", lambda: 1 / 0)
    evidence.of("orchestrator", lambda: "the first line\\n" + 60 * f"GET /?token={SECRET}\\n")
    evidence.note("browser", f"\\x1b[31mAuthorization\\x1b[39m: token {SECRET}")
    pytest.fail("it does not work")


@pytest.fixture
def not_removed():
    yield
    pytest.fail("something is left")


def test_ends_its_part_before_it_fails_twice(not_removed):
    log = ["said by the one that ended"]
    evidence.of("notebook", lambda: log[0])
    evidence.keep("notebook")
    log.clear()
    pytest.fail("it has ended")


@pytest.fixture
def broken():
    evidence.of("engine", lambda: "said at its start")
    pytest.fail("it does not start")


def test_never_begins(broken):
    pass


@pytest.mark.flaky(reruns=1)
def test_fails_once():
    TRIES.append(1)
    evidence.of(f"part of try {len(TRIES)}", lambda: "said to one try")
    assert len(TRIES) > 1
"""

ENGINE = """
import os
import pytest


def say(line):
    with open(os.environ["TMPNB_ENGINE_LOG"], "a") as log:
        print(line, file=log)


def test_without_the_engine():
    say("said before")
    pytest.fail("it is not meant")


@pytest.mark.docker
def test_with_the_engine():
    say("said meanwhile")
    pytest.fail("it does not work")
"""

PICTURES = """
from types import SimpleNamespace

import pytest
from tests.support import evidence
from tornado.ioloop import IOLoop


class Page:
    def __init__(self, name):
        self.url = f"http://a.test/{name}?token=zzzz"

    async def screenshot(self, *, path, timeout):
        if "broken" in self.url:
            raise OSError("it has crashed\\nwith much to say")
        path.write_bytes(b"a picture")


@pytest.fixture
def io_loop():
    loop = IOLoop()
    yield loop
    loop.close(all_fds=True)


@pytest.mark.parametrize("name", ["a/b c"])
def test_with_pages(io_loop, name):
    pages = [Page(name) for name in ("broken", "second", "third", "fourth", "too-many")]
    window = SimpleNamespace(pages=pages)
    assert evidence.opened(window)
    assert not evidence.opened(window), "it is pictured once"
    pytest.fail("the page shows something else")
"""


def run(folder: Path, source: str, *options: str, **environment: object) -> str:
    """Let pytest run tests in a process of its own; return what it printed."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = docker: needs an engine\n")
    (folder / "test_it.py").write_text(source)
    env = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "TMPNB_E"))}
    env |= {name: str(value) for name, value in environment.items()}
    env |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugins = [word for name in PLUGINS for word in ("-p", name)]
    done = subprocess.run(  # noqa: S603 - the words are ours
        [sys.executable, "-m", "pytest", *plugins, "--rerun-show-tracebacks", "-Wignore", *options],
        cwd=folder,
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


def shown(printed: str) -> dict[str, str]:
    """Return the sections that are shown beside failures, by their titles; none may be twice."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in printed.splitlines():
        if line.startswith(("-----", "=====", "_____")):
            lines = found.setdefault(line.strip("-=_ "), [])
            assert not lines, line
        lines.append(line)
    return {title: "\n".join(lines[1:]) for title, lines in found.items()}


@pytest.mark.parametrize("workers", [0, 2])
def test_failed_try_shows_what_its_own_parts_said_last(tmp_path: Path, workers: int) -> None:
    printed = run(tmp_path, PARTS, f"--numprocesses={workers}")
    assert "2 failed, 2 passed, 2 errors, 1 rerun" in printed
    said = shown(printed)
    assert said["orchestrator"] == "\n".join(["GET /?[redacted]"] * evidence.LINES)
    assert said["browser"] == "Authorization: token [redacted]"
    assert said["proxy"] == "not to be had: ZeroDivisionError: division by zero"
    assert said["notebook"] == "said by the one that ended"
    assert said["engine"] == "said at its start"
    assert said["part of try 1"].startswith("said to one try")
    assert {"one that is well", "part of try 2"} & set(said) == set()
    assert SECRET not in printed


def test_log_of_the_engine_is_shown_from_where_the_try_of_its_test_began(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.touch()
    said = shown(run(tmp_path, ENGINE, TMPNB_ENGINE_LOG=log))
    [title] = (title for title in said if title.startswith("Docker engine"))
    assert said[title] == "said meanwhile"
    assert log.read_text().splitlines() == ["said before", "said meanwhile"]


def test_open_pages_are_pictured_and_the_newest_pictures_kept(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    for number in range(evidence.FILES):
        (folder / f"{number}.png").touch()
        os.utime(folder / f"{number}.png", (number, number))
    said = shown(run(tmp_path, PICTURES, TMPNB_EVIDENCE=folder))[evidence.SCREENSHOTS].splitlines()
    assert said[0] == "none of http://a.test/broken?[redacted] (OSError: it has crashed)"
    name = "test-it.py-test-with-pages-a-b-c-try-1-page"
    for line, number, page in zip(said[1:], (2, 3, 4), ("second", "third", "fourth"), strict=True):
        path = folder / f"{name}-{number}.png"
        assert line == f"{path} of http://a.test/{page}?[redacted]"
        assert path.read_bytes() == b"a picture"
    assert {path.name for path in folder.glob("?.png")} == {f"{n}.png" for n in range(3, 10)}
    assert len(list(folder.iterdir())) == evidence.FILES


def test_end_of_a_log_has_whole_lines_so_that_a_token_is_known_as_one(tmp_path: Path) -> None:
    line = f"GET /?token={SECRET}\n"
    log = tmp_path / "log"
    for extra in range(len(line)):
        log.write_text(line * (evidence.READ // len(line) + 9) + "." * extra)
        read = evidence.end_of(log)
        assert evidence.READ - len(line) <= len(read) <= evidence.READ
        assert SECRET not in without_secrets(read)
        shown = evidence.last_lines(read)
        assert evidence.SIZE - len(line) <= len(shown) <= evidence.SIZE
        assert SECRET not in without_secrets(shown)
    assert evidence.end_of(log, log.stat().st_size - 7) == "." * 7


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("GET /user/a/lab?token=abc&b=1 200", "GET /user/a/lab?[redacted] 200"),
        ("see <http://a.test/?x>.", "see <http://a.test/?[redacted]>."),
        ("at http://a.test/#token=abcdefgh", "at http://a.test/#token=[redacted]"),
        ("API_TOKEN=letters-only", "API_TOKEN=[redacted]"),
        ("headers: token letters-only", "headers: token [redacted]"),
        ('{"token": "abc"}', '{"token": "[redacted]"}'),
        ("it refused our token. Why? See below", "it refused our token. Why? See below"),
    ],
)
def test_tokens_and_queries_are_cut_off(text: str, kept: str) -> None:
    assert without_secrets(text) == kept
