"""What the parts of a test said last, shown beside its failure, so that one run is enough.

A part says who it is while a test uses it (`of`, `note`, `opened`), and is asked only if the
test fails. All of it is forgotten when the next test, or its next try, begins.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support.requirements import ROOT
from tmpnb.system.logs.redaction import redact

PARTS = 8  # of a test, the newest
LINES, SIZE = 60, 4_000  # of a part that are shown, the last; SIZE in characters
READ = 64_000  # bytes of a log that are looked at
PICTURES = 4  # of a try
FILES = 40  # that the folder keeps, the newest
SOON = 20_000  # milliseconds for one picture
PATIENCE = 40.0  # seconds for all pictures of a try
SCREENSHOTS = "browser: screenshots"
CUT = "[redacted]"
SECRETS = re.compile(
    r"(?<=[\w/.&=%-]\?)[^\s\"'<>]+"  # the query of a URL
    r"|(?<=token[= ])(?!\[)[^\s\"'&<>,;]{8,}",
    re.IGNORECASE,
)
COLOUR = re.compile(r"\x1b\[[\d;]*m")

Words = Callable[[], str]


class Page(Protocol):
    """What is pictured."""

    @property
    def url(self) -> str: ...

    async def screenshot(self, *, path: Path, timeout: float) -> object: ...


class Window(Protocol):
    """Pages that open and close."""

    @property
    def pages(self) -> Sequence[Page]: ...


@dataclass
class Try:
    """One try of a test, and who took part in it."""

    test: str = ""
    number: int = 0
    parts: dict[str, Words] = field(default_factory=dict)
    notes: dict[str, deque[str]] = field(default_factory=dict)
    pictures: int = 0
    engine_said: int = 0  # bytes in its log when the try began
    is_told: bool = False

    def next(self, test: str) -> Try:
        """Return the one that follows, of the same test or another."""
        number = self.number + 1 if test == self.test else 1
        log = _engine_log()
        return Try(test, number, engine_said=log.stat().st_size if log else 0)


_now = Try()
_open: list[Window] = []


def of(title: str, words: Words) -> None:
    """Have a part asked for its `words` if the test that runs fails.

    A part that outlives a test says so again in the next. Of one title the latest counts.
    """
    _now.parts.pop(title, None)
    _now.parts[title] = words
    while len(_now.parts) > PARTS:
        del _now.parts[next(iter(_now.parts))]


def keep(title: str) -> None:
    """Ask a part now, as it is about to end, instead of later."""
    if title in _now.parts:
        said = _said(_now.parts[title])
        _now.parts[title] = lambda: said


def note(title: str, line: str) -> None:
    """Add a line to the words of a part that has no log."""
    lines = _now.notes.setdefault(title, deque(maxlen=LINES))
    lines.append(line)
    of(title, lambda: "\n".join(lines))


def opened(window: Window) -> bool:
    """Have its pages pictured if a test fails before it is closed; False if that is so already."""
    if window in _open:
        return False
    _open.append(window)
    return True


def closed(window: Window) -> None:
    """Picture it no more."""
    if window in _open:
        _open.remove(window)


def end_of(log: Path, start: int = 0) -> str:
    """Return the end of what a file has after its first `start` bytes, in whole lines."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = max(min(start, size), size - READ)
        file.seek(begin)
        if begin > start:
            file.readline()
        return file.read().decode(errors="replace")


def last_lines(text: str, size: int = SIZE) -> str:
    """Return the last lines that have room in `size` characters."""
    return text if len(text) <= size else text[-size:].partition("\n")[2]


def without_secrets(text: str) -> str:
    """Return `text` without tokens and the queries of URLs."""
    return SECRETS.sub(CUT, redact(text))


async def take_pictures() -> None:
    """Keep what the open pages look like, and note where. Never raises for a page."""
    pages = [page for window in _open for page in window.pages if page.url != "about:blank"]
    try:
        async with asyncio.timeout(PATIENCE):
            for page in pages[: PICTURES - _now.pictures]:
                note(SCREENSHOTS, await _picture(page))
    except TimeoutError:
        note(SCREENSHOTS, f"no more of them within {PATIENCE:g} s")
    if pages:
        _forget_the_oldest()


async def _picture(page: Page) -> str:
    """Return where the picture is, or in one line why there is none."""
    _now.pictures += 1
    name = re.sub(r"[^A-Za-z0-9.]+", "-", _now.test)[-120:].strip("-")
    path = _folder() / f"{name}-try-{_now.number}-page-{_now.pictures}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=path, timeout=SOON)
    except Exception as error:  # noqa: BLE001 - nothing here may hide why the test failed
        return f"none of {page.url} ({_in_short(error)})"
    return f"{path} of {page.url}"


def _folder() -> Path:
    return Path(os.environ.get("TMPNB_EVIDENCE") or ROOT / ".cache" / "evidence")


def _forget_the_oldest() -> None:
    """Remove what the folder has too much of; workers that run beside do the same."""
    found: list[tuple[float, Path]] = []
    for path in _folder().glob("*.png"):
        try:
            found.append((path.stat().st_mtime, path))
        except FileNotFoundError:
            continue
    for _, path in sorted(found)[:-FILES]:
        path.unlink(missing_ok=True)


def _engine_log() -> Path | None:
    """Return the log of the machine's or the worker's Docker engine, if it is known."""
    log = os.environ.get("TMPNB_ENGINE_LOG", "")
    return Path(log) if os.access(log, os.R_OK) else None


def _said(words: Words) -> str:
    """Return a part's last words, within the bounds and without secrets."""
    try:
        text = words()
    except Exception as error:  # noqa: BLE001 - nothing here may hide why the test failed
        text = f"not to be had: {_in_short(error)}"
    lines = without_secrets(COLOUR.sub("", text)).splitlines()[-LINES:]
    return "\n".join(lines)[-SIZE:] or "nothing"


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _tell(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put what the parts of the try said beside its failure."""
    funcargs: dict[str, Any] = getattr(item, "funcargs", {})
    if _open and "io_loop" in funcargs:
        try:
            funcargs["io_loop"].run_sync(take_pictures)
        except Exception as error:  # noqa: BLE001 - nothing here may hide why the test failed
            note(SCREENSHOTS, f"none: {_in_short(error)}")
    log, start = _engine_log(), _now.engine_said
    if log and item.get_closest_marker("docker"):
        of("Docker engine: last lines of its log since the test began", lambda: end_of(log, start))
    # The traceback of a first try is shown with its own sections, without those of the report.
    add = getattr(report.longrepr, "addsection", lambda *section: report.sections.append(section))
    for title, words in _now.parts.items():
        add(title, _said(words))


def pytest_runtest_logstart(nodeid: str) -> None:
    """Forget the try before."""
    global _now
    _now = _now.next(nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell what is known when a test has failed, once for each try."""
    report = yield
    if report.failed and not _now.is_told:
        _now.is_told = True
        _tell(item, report)
    return report
