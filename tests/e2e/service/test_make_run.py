"""`make run`, the first of the README's commands: a notebook, and nothing left after Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.running_service import PERSON, SECRETS, STOP, Service
from tests.support.requirements import ROOT, missing
from tmpnb.system.process import PROC

pytestmark = [
    pytest.mark.local,
    pytest.mark.chp,
    pytest.mark.browser,
    pytest.mark.gen_test(timeout=240),
]


def ours(folder: Path) -> Iterator[str]:
    """Return what runs with our folder for temporary files in its environment."""
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(folder).encode() in environment and command:
                yield command


async def test_make_run_serves_a_notebook_and_ctrl_c_leaves_nothing(browser: Browser) -> None:
    if not (ROOT / ".venv" / "bin" / "tmpnb").exists():
        missing(".venv, which `make test` makes")
    slow = (ROOT / ".venv").glob("lib/python*/site-packages/rfc3987_syntax")
    assert list(slow) == [], "servers start twice as fast without it: docs/images.md"
    # A short name, as sockets in it have a limit; pytest's own is long.
    folder = Path(tempfile.mkdtemp(prefix="run-"))
    service = Service(state_dir=folder / "state")  # for its client; make starts the program
    port = service.visitors = free_run_port()
    service.port = port + 1999  # as scripts/run has it
    env = {n: v for n, v in os.environ.items() if n not in SECRETS} | {
        "TMPDIR": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "PORT": str(port),
        "POOL_SIZE": "1",
    }
    log = folder / "make.log"
    with log.open("wb") as output:
        service.process = await asyncio.create_subprocess_exec(
            *("make", "run", "ARGS=--brand='The  Atlas'"),
            cwd=ROOT,
            env=env,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    service.log = log
    try:
        await service.until_ready(1)
        root = await service.fetch("/", headers=PERSON)
        assert root.code == 200
        assert b"The  Atlas" in root.body
        await meet_the_welcome(browser, service.url)
        assert any("jupyter" in command for command in ours(folder))
    finally:
        # As a terminal does: to everything in its foreground.
        os.killpg(service.process.pid, signal.SIGINT)
        await asyncio.wait_for(service.process.wait(), STOP)
        service.client.close()
    async with asyncio.timeout(STOP):
        while list(ours(folder)):
            await asyncio.sleep(0.1)
    left = set(os.listdir(folder)) - {"state", "make.log", "node-compile-cache"}
    assert left == set(), log.read_text()[-3000:]
    shutil.rmtree(folder)


async def meet_the_welcome(browser: Browser, url: str) -> None:
    """Come as a newcomer does: an address, a notebook that says what it is, a plot at once."""
    page = await browser.new_page()
    try:
        await page.goto(url)  # whose page goes on by itself
        await page.wait_for_url("**/user/*/notebooks/welcome.ipynb*")
        notebook = page.locator(".jp-NotebookPanel:visible")
        await expect(notebook.get_by_role("heading", level=1)).to_contain_text(
            "A notebook of your own"
        )
        for said in ("How long it lasts.", "Keep your work."):
            await expect(notebook).to_contain_text(said)
        await expect(notebook.locator(".jp-Cell")).to_have_count(4)
        await notebook.locator(".jp-CodeCell .cm-content").click()
        await page.keyboard.press("Control+Enter")
        plot = notebook.locator(".jp-OutputArea-output :is(img, svg)").first
        await expect(plot).to_be_visible()
        names = (
            "async () => (await (await fetch('../api/contents')).json()).content.map(f => f.name)"
        )
        assert await page.evaluate(names) == ["welcome.ipynb"], "and nothing else"
    finally:
        await page.close()


def free_run_port() -> int:
    """Return a port that `make run` takes, with those that follow from it free as well."""
    for port in range(31000, 60000, 7):
        try:
            for offset in (0, 1, 1999, 2000):
                socket.create_server(("127.0.0.1", port + offset)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no free ports")
