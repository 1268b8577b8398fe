"""A proxy in memory, and a small program that plays the real one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tmpnb.core.observation import Route
from tmpnb.errors import ProxyAuthError, ProxyError


class FakeProxy:
    """A `Proxy` that fulfils the contract suite.

    Attributes:
        table: Every route by its path, as CHP keeps them; share it to be another pool
            or the same pool after a restart.
        failure: Raised by every call while it is set.
        posts: Server ids in the order their routes were posted.
        token_is_right: Whether the proxy takes our token.
    """

    def __init__(
        self,
        pool_name: str = "tmpnb",
        clock: Callable[[], float] = time.time,
        table: dict[str, dict[str, Any]] | None = None,
        *,
        token_is_right: bool = True,
    ) -> None:
        self.table = {} if table is None else table
        self.failure: ProxyError | None = None
        self.posts: list[str] = []
        self.token_is_right = token_is_right
        self._pool_name, self._clock = pool_name, clock

    async def setup(self) -> None:
        self._answer()

    async def list_routes(self) -> list[Route]:
        self._answer()
        return [
            Route(data["server_id"], last_activity=data["last_activity"], target=data["target"])
            for data in self.table.values()
            if data.get("tmpnb_pool") == self._pool_name
        ]

    async def route_exists(self, server_id: str) -> bool:
        self._answer()
        return f"/user/{server_id}" in self.table

    async def add_route(self, server_id: str, target: str) -> None:
        self._answer()
        self.posts.append(server_id)
        self.table[f"/user/{server_id}"] = {
            "target": target,
            "tmpnb_pool": self._pool_name,
            "server_id": server_id,
            "last_activity": self._clock(),
        }

    async def delete_route(self, server_id: str) -> None:
        self._answer()
        self.table.pop(f"/user/{server_id}", None)

    async def close(self) -> None:
        pass

    def touch(self, server_id: str, at: float) -> None:
        """Note traffic of a visitor at `at`, Unix time in seconds."""
        self.table[f"/user/{server_id}"]["last_activity"] = at

    def restart(self) -> None:
        """Lose all routes, as CHP does."""
        self.table.clear()

    def _answer(self) -> None:
        if self.failure is not None:
            raise self.failure
        if not self.token_is_right:
            raise ProxyAuthError("set the same CONFIGPROXY_AUTH_TOKEN for both")


# What `ManagedProxy` needs of a proxy and no more: the options, the token, the two ports. It says
# its words first, then ends, or goes on without a port as CHP does.
STAND_IN = """
import argparse, os, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
parser = argparse.ArgumentParser()
for name in ("ip", "api-ip", "default-target", "error-target", "say"):
    parser.add_argument(f"--{name}", default="")
for name in ("port", "api-port", "exit"):
    parser.add_argument(f"--{name}", type=int)
parser.add_argument("--stubborn", action="store_true")
options = parser.parse_args()
if options.stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(options.say, flush=True)
if options.exit is not None:
    sys.exit(options.exit)
class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        right = f"token {os.environ['CONFIGPROXY_AUTH_TOKEN']}"
        self.send_response(200 if self.headers["Authorization"] == right else 403)
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *args):
        print("request with", os.environ["CONFIGPROXY_AUTH_TOKEN"], flush=True)
if "listen" not in options.say:
    public = ThreadingHTTPServer((options.ip, options.port), BaseHTTPRequestHandler)
    threading.Thread(target=public.serve_forever, daemon=True).start()
ThreadingHTTPServer((options.api_ip, options.api_port), Api).serve_forever()
"""
