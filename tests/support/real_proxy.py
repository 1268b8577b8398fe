"""The real proxy as tmpnb starts it, before a notebook server and an orchestrator of the tests."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tornado.testing import bind_unused_port

from tests.support.requirements import chp
from tmpnb.proxy.chp import ConfigurableHTTPProxy
from tmpnb.proxy.managed import ManagedProxy, ManagedProxySettings
from tmpnb.system.backoff import Backoff
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.system.process import Process

ID, OTHER_ID = "abc", "def"
HOME = f"/user/{ID}/"
DOMAIN = "notebooks.example"
TOKEN = "a-token-of-this-test"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class World:
    """Where visitors reach the proxy, and its process."""

    port: int
    child: Process
    endpoint: str  # of its API
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many the proxy has open."""
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))

    @property
    def memory(self) -> int:
        """Return how many bytes it has in memory."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    async def forget_default(self) -> None:
        """Leave what has no route without an answer of the orchestrator's."""
        client = Client(MAX_ANSWER)
        url, headers = f"{self.endpoint}/api/routes/", {"Authorization": f"token {TOKEN}"}
        answer = await client.fetch(url, timeout=5, method="DELETE", headers=headers)
        client.close()
        assert answer.code == 204

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Come to the proxy; the connection ends with the world."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        self.open.append(writer)
        return reader, writer

    def leave(self) -> None:
        """End all connections of visitors."""
        for writer in self.open:
            writer.transport.abort()

    async def send(
        self, path: str, headers: str = "", method: str = "GET", host: str = "x"
    ) -> asyncio.StreamReader:
        """Ask for a path, and return where the answer comes."""
        reader, writer = await self.connect()
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode("latin1"))
        await writer.drain()
        return reader

    async def head(
        self, path: str, headers: str = "", method: str = "GET", host: str = "x"
    ) -> list[str]:
        """Return the lines of what is said before the body."""
        reader = await self.send(path, headers, method, host)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
        return [line for line in lines if line]


def saying(head: str, body: str = "") -> Serve:
    """Return a server that says the same to all, which ends with its connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{head}\r\n{body}".encode("latin1"))
        writer.close()

    return serve


OUR_PAGE = saying("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n", "ours")


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """Serve connections until the block ends, and then with none of them; yield the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await serve(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def world(
    notebook: Serve,
    ours: Serve = OUR_PAGE,
    *,
    has_hosts: bool = False,
    files: int = 0,
    options: str = "",
) -> AsyncIterator[World]:
    """Run all three, with a route to the notebook server.

    Args:
        notebook: What the notebook server does with a connection.
        ours: The same for the orchestrator.
        has_hosts: Whether each server has a host of its own.
        files: How many the proxy may have open; 0: as many as the tests.
        options: Of the proxy, which an operator adds.
    """
    async with listening(notebook) as notebook_port, listening(ours) as our_port:
        with TemporaryDirectory() as directory:
            target = f"http://127.0.0.1:{our_port}"
            settings = _settings(Path(directory), target, has_hosts, files, options)
            backoff = Backoff(random_factor=lambda: 0.0)
            proxy = ManagedProxy(settings, Client(MAX_ANSWER), _nothing, _nothing_said, backoff)
            await proxy.start()
            domain = DOMAIN if has_hosts else ""
            api = ConfigurableHTTPProxy(
                Client(MAX_ANSWER), settings.endpoint, TOKEN, "tmpnb", domain=domain
            )
            made = World(settings.port, _child_of(settings), settings.endpoint)
            try:
                await api.add_route(ID, f"http://127.0.0.1:{notebook_port}")
                yield made
            finally:
                made.leave()
                await api.close()
                await proxy.close()


def _settings(
    directory: Path, target: str, has_hosts: bool, files: int, options: str
) -> ManagedProxySettings:
    command = [chp(), *options.split()]
    if files:
        command = ["sh", "-c", f'ulimit -n {files}; exec "$0" "$@"', *command]
    ports = []
    for _ in range(2):
        sock, port = bind_unused_port()
        sock.close()
        ports.append(port)
    return ManagedProxySettings(
        command=command,
        ip="127.0.0.1",
        port=ports[0],
        api_port=ports[1],
        token=TOKEN,
        state_dir=directory,
        default_target=target,
        error_target=f"{target}/proxy-error",
        host_routing=has_hosts,
    )


def _child_of(settings: ManagedProxySettings) -> Process:
    return Process(**json.loads((settings.state_dir / "proxy.json").read_text())["child"])


def _nothing() -> None:
    pass


def _nothing_said(_: str) -> None:
    pass
