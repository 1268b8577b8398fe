"""A proxy's REST API without a proxy behind it: routes in memory, spoken to as to the real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler


class RouteTable:
    """Routes by path, as configurable-http-proxy keeps them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.routes: dict[str, dict[str, Any]] = {}
        self.clock = clock  # Unix time in seconds
        self._server = HTTPServer(
            Application(
                [(r"/api/routes(/.*)?", _Routes, {"table": self})], log_function=_say_nothing
            )
        )
        self._port = 0

    @property
    def endpoint(self) -> str:
        """Where it answers once it was started."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Answer on a free port."""
        sockets = bind_sockets(0, "127.0.0.1")
        self._port = sockets[0].getsockname()[1]
        self._server.add_sockets(sockets)

    async def close(self) -> None:
        """Answer no more."""
        self._server.stop()
        await self._server.close_all_connections()


class _Routes(RequestHandler):
    def initialize(self, table: RouteTable) -> None:
        self.table = table

    def get(self, path: str | None) -> None:
        if not path:
            self.finish(self.table.routes)
        elif path.rstrip("/") in self.table.routes:
            self.finish(self.table.routes[path.rstrip("/")])
        else:
            self.set_status(404)

    def post(self, path: str) -> None:
        now = datetime.fromtimestamp(self.table.clock(), UTC)
        route = json.loads(self.request.body) | {"last_activity": now.isoformat()}
        self.table.routes[path.rstrip("/")] = route
        self.set_status(201)

    def delete(self, path: str) -> None:
        known = self.table.routes.pop(path.rstrip("/"), None)
        self.set_status(404 if known is None else 204)


def _say_nothing(handler: RequestHandler) -> None:
    """Log no request: there are many thousands."""
