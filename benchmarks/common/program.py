"""Run tmpnb as an operator does: a process of its own, with the real proxy as its child."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.common.command import BenchmarkError
from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import MAX_ANSWER, Client

POLL = 0.5  # seconds between two looks at the numbers
ASK_TIMEOUT = 60.0  # seconds for one request
STOP = 300.0  # seconds from SIGTERM to the end
OF_OTHERS = (  # in the environment they would change which proxy runs and who may ask
    "CONFIGPROXY_AUTH_TOKEN",
    "CONFIGPROXY_AUTH_TOKEN_FILE",
    "CONFIGPROXY_ENDPOINT",
    "API_AUTH_TOKEN",
    "ADMIN_AUTH_TOKEN",
)


class Program:
    """One `tmpnb` process and how to ask it."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, state_dir: Path) -> None:
        self.url = url  # where visitors go
        self.pid = process.pid
        self.client = Client(MAX_ANSWER)
        self._process = process
        self._state_dir = state_dir

    @property
    def marker(self) -> str:
        """The variable in the environment of its proxy, and of no other process."""
        return f"TMPNB_PROXY_DIR={self._state_dir.resolve()}"

    async def stats(self) -> dict[str, Any]:
        """Return the pool in numbers.

        Raises:
            BenchmarkError: The program has ended.
            UnreachableError: It does not answer.
        """
        if self._process.returncode is not None:
            raise BenchmarkError(f"tmpnb has ended:\n{self.tail()}")
        answer = await self.client.fetch(f"{self.url}/stats", timeout=ASK_TIMEOUT)
        return dict(json.loads(answer.body)) if answer.code == 200 else {}

    async def until(
        self,
        done: Callable[[dict[str, Any]], bool],
        what: str,
        *,
        seconds: float,
        every: float = POLL,
    ) -> None:
        """Return once `done` holds for the numbers.

        Raises:
            BenchmarkError: It did not come true in time, or the program has ended.
        """
        stats: dict[str, Any] = {}
        try:
            async with asyncio.timeout(seconds):
                while not (stats and done(stats)):
                    await asyncio.sleep(every)
                    try:
                        stats = await self.stats()
                    except UnreachableError:
                        stats = {}
        except TimeoutError:
            raise BenchmarkError(
                f"not within {seconds:.0f} s: {what}; last seen {stats}\n{self.tail()}"
            ) from None

    def complaints(self) -> list[str]:
        """Return the warnings and errors it logged so far, those of requests left out."""
        found = re.findall(
            r"^\[([WE]) \S+ \S+ (\w+):\d+\] (.*)",
            self._log.read_text(errors="replace"),
            re.MULTILINE,
        )
        return [f"{level} {text}" for level, module, text in found if module != "logs"]

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    async def stop(self) -> int:
        """End it as an operator does; return its exit code.

        Raises:
            BenchmarkError: It does not end.
        """
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), STOP)
        except TimeoutError:
            self._process.kill()
            raise BenchmarkError(f"tmpnb did not end within {STOP:.0f} s of SIGTERM") from None

    @property
    def _log(self) -> Path:
        return self._state_dir / "log"


@asynccontextmanager
async def running(*flags: str) -> AsyncIterator[Program]:
    """Run `tmpnb` with free ports and a directory of its own, and end it with the block."""
    state_dir = Path(tempfile.mkdtemp(prefix="tmpnb-benchmark-"))
    visitors, api, own, admin = free_ports(4)
    environment = {name: value for name, value in os.environ.items() if name not in OF_OTHERS}
    # The proxy stands beside the Python of a virtual environment.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with (state_dir / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tmpnb", f"--state-dir={state_dir}"),
            *(f"--proxy-port={visitors}", f"--proxy-api-port={api}"),
            *(f"--port={own}", f"--admin-port={admin}", *flags),
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, who then end it in order
        )
    program = Program(process, f"http://127.0.0.1:{visitors}", state_dir)
    try:
        yield program
    finally:
        await program.stop()
        program.client.close()
        shutil.rmtree(state_dir)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
