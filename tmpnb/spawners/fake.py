"""Pretend servers in memory, for demonstrations and tests; no Jupyter, no Docker.

All of them are answered by one small HTTP server in this process, which knows just
enough of Jupyter's API to be found ready, to be opened and to be asked for its age.
"""

from __future__ import annotations

import hmac
import html
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from tmpnb.core.observation import Instance, Used
from tmpnb.errors import NoInstanceError, SpawnerError
from tmpnb.spawners.base import ServerSpec, Spawner

LOG_LINES = 100  # kept for each server
PRETENDED_MEMORY = 50_000_000  # bytes of each

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Pretend notebook {server_id}</title>
<h1>Pretend notebook</h1>
<p>This is a placeholder for a notebook server. Its path is <code>{base_url}</code>.</p>
</html>
"""


@dataclass(slots=True)
class FakeServer:
    """One pretend server. Times are Unix time in seconds."""

    spec: ServerSpec
    frame_ancestors: str
    created_at: float
    last_activity: float
    claimed_at: float | None = None
    running: bool = True
    cpu_seconds: float = 0.0
    address: str = ""  # where it answers, if not where all do
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))


class FakeEngine:
    """What outlives a spawner: the servers of every pool, and the port they respond on.

    Give one engine to several spawners to play a restart, or two pools side by side.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.servers: dict[tuple[str, str], FakeServer] = {}  # by pool and server id
        self.answers = True  # whether its servers do; else each request ends in an error
        self._http: HTTPServer | None = None
        self._port = 0

    @property
    def address(self) -> str:
        """Where all its servers answer."""
        return f"http://127.0.0.1:{self._port}"

    def listen(self) -> None:
        """Answer on a free port of this machine; repeated calls change nothing."""
        if self._http is not None:
            return
        sockets = bind_sockets(0, "127.0.0.1")
        self._port = sockets[0].getsockname()[1]
        routes = [(r"(/user/.+?/)(.*)", _Notebook, {"engine": self})]
        self._http = HTTPServer(Application(routes, log_function=_say_nothing))
        self._http.add_sockets(sockets)

    async def close(self) -> None:
        """Stop responding."""
        if self._http is not None:
            self._http.stop()
            await self._http.close_all_connections()
            self._http = None

    def at(self, base_url: str) -> FakeServer | None:
        """Return the running server of this base URL."""
        for server in self.servers.values():
            if server.running and server.spec.base_url == base_url:
                return server
        return None


class FakeSpawner(Spawner):
    """Pretend servers; each start succeeds immediately."""

    engine: FakeEngine | None = None  # set before `setup` to share one; its owner closes it
    _own_engine: FakeEngine | None = None

    async def setup(self) -> None:
        """Open the port all servers answer on."""
        if self.engine is None:
            self.engine = self._own_engine = FakeEngine()
        self.engine.listen()

    async def prepare(self, image: str) -> None:
        """Take any name for an image."""

    async def start(self, spec: ServerSpec) -> str:
        """Start a server; return its address.

        Raises:
            SpawnerError: There is one of this id, or `setup` was not called.
        """
        engine = self._ready_engine()
        key = (self.pool_name, spec.server_id)
        if key in engine.servers:
            raise SpawnerError(f"server {spec.server_id} exists already")
        now = engine.clock()
        engine.servers[key] = FakeServer(spec, self.pool.frame_ancestors, now, now)
        return engine.address

    async def stop(self, server_id: str) -> None:
        """Forget the server, if there is one."""
        self._ready_engine().servers.pop((self.pool_name, server_id), None)

    async def list(self) -> list[Instance]:
        """Return all servers of this pool."""
        engine = self._ready_engine()
        return [
            Instance(
                server_id,
                running=server.running,
                created_at=server.created_at,
                claimed_at=server.claimed_at,
                address=(server.address or engine.address) if server.running else None,
            )
            for (pool, server_id), server in engine.servers.items()
            if pool == self.pool_name
        ]

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        """Keep the time of the claim.

        Raises:
            SpawnerError: There is no such server.
        """
        server = self._ready_engine().servers.get((self.pool_name, server_id))
        if server is None:
            raise NoInstanceError(f"there is no server {server_id} to claim")
        server.claimed_at = claimed_at

    async def logs(self, server_id: str, lines: int = 20) -> str:
        """Return the last requests the server answered, or nothing."""
        server = self._ready_engine().servers.get((self.pool_name, server_id))
        return "\n".join(list(server.log)[-lines:]) if server else ""

    async def cpu_seconds(self, server_ids: Collection[str]) -> Mapping[str, float]:
        """Return what they pretend to have used."""
        servers = {i: self._ready_engine().servers.get((self.pool_name, i)) for i in server_ids}
        return {i: server.cpu_seconds for i, server in servers.items() if server}

    async def used(self, server_ids: Collection[str]) -> Mapping[str, Used]:
        """Return what they pretend to have used."""
        seconds = await self.cpu_seconds(server_ids)
        return {i: Used(used, PRETENDED_MEMORY) for i, used in seconds.items()}

    async def close(self) -> None:
        """Close the port, unless the engine belongs to someone else."""
        if self._own_engine is not None:
            await self._own_engine.close()

    def _ready_engine(self) -> FakeEngine:
        if self.engine is None:
            raise SpawnerError("the fake engine is not set up")
        return self.engine


class _Notebook(RequestHandler):
    """Answers as the server whose base URL was asked for."""

    def initialize(self, engine: FakeEngine) -> None:
        self.engine = engine

    def get(self, base_url: str, path: str) -> None:
        server = self.engine.at(base_url)
        if server is None or not self.engine.answers:
            raise HTTPError(404)
        server.log.append(f"GET {base_url}{path}")
        if path == "api":
            self.finish({"version": "0.0.0"})
        elif not self._knows_token(server):
            raise HTTPError(403)
        elif path.startswith(("api/", "tmpnb/")):
            self.finish(_api(server, path.removeprefix("api/")))
        else:
            self._show_page(server)

    def _knows_token(self, server: FakeServer) -> bool:
        given = (
            self.request.headers.get("Authorization", "").removeprefix("token ")
            or self.get_query_argument("token", "")
            or self.get_cookie("fake-token", "")
            or ""
        )
        return hmac.compare_digest(given.encode(), server.spec.token.encode())

    def _show_page(self, server: FakeServer) -> None:
        server.last_activity = self.engine.clock()
        base_url = server.spec.base_url
        self.set_cookie("fake-token", server.spec.token, path=base_url, httponly=True)
        self.set_header("Content-Security-Policy", f"frame-ancestors {server.frame_ancestors}")
        self.finish(
            PAGE.format(
                server_id=html.escape(server.spec.server_id), base_url=html.escape(base_url)
            )
        )


def _api(server: FakeServer, name: str) -> dict[str, Any] | str:
    if name == "status":
        seen = datetime.fromtimestamp(server.last_activity, UTC)
        return {"last_activity": seen.isoformat(), "connections": 0, "kernels": 0}
    if name == "kernels":
        return "[]"
    raise HTTPError(404)


def _say_nothing(handler: RequestHandler) -> None:
    """Log no request: a URL may carry a token."""
