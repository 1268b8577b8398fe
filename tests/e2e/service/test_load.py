"""`tmpnb load` as an operator runs it, with real Jupyter behind tmpnb, and alone."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running_service import START, free_ports, serving, until_true
from tests.support.requirements import ROOT, missing
from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import MAX_ANSWER, Client

pytestmark = [pytest.mark.local, pytest.mark.gen_test(timeout=240)]

TOKEN = "a-token-for-tests-only"
NOTEBOOK = ROOT / "tests" / "home" / "demo.ipynb"


async def load(url: str, result: Path, *flags: str) -> tuple[int, str, dict[str, Any]]:
    """Run the command; return its exit code, what it printed, and the result it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tmpnb", "load", url, f"--json={result}", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode(), read(result)


def read(result: Path) -> dict[str, Any]:
    return dict(json.loads(result.read_text()))


@asynccontextmanager
async def jupyter_server(home: Path) -> AsyncIterator[str]:
    """Run a Jupyter server alone until the end of the block; give its URL."""
    program = shutil.which("jupyter-server", path=str(Path(sys.executable).parent))
    if program is None:
        missing("jupyter-server beside this Python: pip install 'tmpnb[local]'")
    [port] = free_ports(1)
    with (home.parent / "jupyter.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(
                program,
                f"--port={port}",
                "--no-browser",
                "--allow-root",
                "--ServerApp.ip=127.0.0.1",
            ),
            cwd=home,
            env=os.environ | {"HOME": str(home), "JUPYTER_TOKEN": TOKEN},
            stdout=log,
            stderr=log,
        )
    client = Client(MAX_ANSWER)
    try:
        await until_answers(client, f"http://127.0.0.1:{port}/api", process)
        yield f"http://127.0.0.1:{port}/lab?token={TOKEN}"
    finally:
        client.close()
        process.terminate()
        await process.wait()


async def until_answers(client: Client, url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START):
        while True:
            assert process.returncode is None
            try:
                if (await client.fetch(url, timeout=START)).code == 200:
                    return
            except UnreachableError:
                await asyncio.sleep(0.1)


@pytest.mark.chp
async def test_visitors_of_tmpnb_run_a_notebook_some_after_a_wait_in_line_and_all_leave(
    tmp_path: Path,
) -> None:
    pool = ["--spawner=local", "--pool-size=2", f"--pool-name=load-{os.getpid()}"]
    async with serving(*pool, f"--notebook-dir={NOTEBOOK.parent}") as service:
        await service.until_ready(2)
        flags = ["--visitors=3", "--arrivals=all", f"--notebook={NOTEBOOK}"]
        status, printed, result = await load(service.url, tmp_path / "r.json", *flags)
        assert status == 0, printed + service.tail()
        assert result["system"] == "tmpnb"
        assert (result["served"], result["errors"]) == (3, {})
        assert {"first page", "server", "open", "first cell", "save"} <= result["steps"].keys()
        stats = await service.numbers()
        assert stats["claims_total"] == 3
        await service.until(lambda s: not s["claimed"] and s["available"] == 2, "all have left")


async def test_visitors_of_a_jupyter_server_leave_neither_kernels_nor_files(
    tmp_path: Path,
) -> None:
    (home := tmp_path / "home").mkdir()
    async with jupyter_server(home) as url:
        status, printed, result = await load(
            url, tmp_path / "r.json", "--visitors=2", "--arrivals=2/s"
        )
        assert status == 0, printed
        assert result["system"] == "Jupyter server"
        assert (result["served"], result["errors"]) == (2, {})
        assert TOKEN not in printed + (tmp_path / "r.json").read_text()
        await until_true(lambda: not list(home.glob("*.ipynb")), "no notebook is left")
        client = Client(MAX_ANSWER)
        kernels = await client.fetch(url.replace("/lab?", "/api/kernels?"), timeout=START)
        assert json.loads(kernels.body) == []
        client.close()
