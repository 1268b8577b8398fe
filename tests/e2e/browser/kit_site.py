"""A page as JupyterLab serves it, with the kit's scripts, and the service they ask."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler, StaticFileHandler

from tmpnb.spawners import kit

ID = "Zk3v0bq8rWq1"
TOKEN = "a b&c"
BASE = f"/user/{ID}/"
PAGE = f"{BASE}lab"
SCRIPTS = kit.DIRECTORY / "share" / "labextensions" / "tmpnb" / "static"
POLICY = "default-src 'self'"  # stricter than any notebook server's
HOUR = 3600
IDLE = {"code": "server_ended", "reason": "idle", "ended_at": 1_790_000_000.0}
UNKNOWN = {"code": "server_ended"}


@dataclass
class KitSite:
    """What the service answers and was asked; tests change it at will. Times in seconds."""

    now: float = 1_790_000_000
    claimed_at: float = 1_790_000_000
    expires_in: float | None = 4 * HOUR
    idle_in: float | None = HOUR
    kept_for: float = HOUR  # idle time after `extend`
    status: int = 200
    ended: dict[str, Any] | None = None  # the error that it answers instead, if it knows no server
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Authorization
    port: int = 0

    @property
    def url(self) -> str:
        """The site's own origin."""
        return f"http://127.0.0.1:{self.port}"

    def pass_time(self, seconds: float) -> None:
        """Let the service's clock go on."""
        self.now += seconds
        self.expires_in = None if self.expires_in is None else self.expires_in - seconds
        self.idle_in = None if self.idle_in is None else self.idle_in - seconds

    def answer(self) -> dict[str, Any]:
        """Return what the service says of the server."""
        return {
            "id": ID,
            "url": f"{self.url}{BASE}",
            "phase": "claimed",
            "claimed_at": self.claimed_at,
            "expires_at": None if self.expires_in is None else self.now + self.expires_in,
            "idle_at": None if self.idle_in is None else self.now + self.idle_in,
            "now": self.now,
        }

    def start(self) -> HTTPServer:
        """Listen on a free port."""
        args = {"site": self}
        server = HTTPServer(
            Application(
                [
                    (PAGE, PageHandler, args),
                    (f"{BASE}api/.*", ProgramHandler, args),
                    (r"/article", ArticleHandler),
                    (r"/kit/(.*)", StaticFileHandler, {"path": str(SCRIPTS)}),
                    (r"/api/servers/.*", ServerHandler, args),
                ],
                log_function=lambda _: None,
            )
        )
        socket, self.port = bind_unused_port()
        server.add_socket(socket)
        return server


class PageHandler(RequestHandler):
    def initialize(self, site: KitSite) -> None:
        self.site = site

    def get(self) -> None:
        config = json.dumps({"baseUrl": BASE, "token": TOKEN})
        self.set_header("Content-Security-Policy", POLICY)
        self.finish(
            "<!doctype html><html lang=en><title>Lab</title><link rel=icon href='data:,'>"
            f'<script id="jupyter-config-data" type="application/json">{config}</script>'
            "<main><h1>A notebook</h1><button>A cell</button></main>"
            '<script src="/kit/remoteEntry.js"></script>'
        )


class ProgramHandler(RequestHandler):
    """What the notebook server itself would answer, or the service in its place."""

    def initialize(self, site: KitSite) -> None:
        self.site = site

    def get(self) -> None:
        self.site.asked.append((str(self.request.method), self.request.path, ""))
        self.set_header("Cache-Control", "no-store")
        if self.site.ended is None:
            self.finish({"name": "x"})
            return
        self.set_status(410)
        self.finish({"error": self.site.ended, "message": "It is over."})


class ArticleHandler(RequestHandler):
    def get(self) -> None:
        self.finish("<!doctype html><html lang=en><title>Article</title><h1>An article</h1>")


class ServerHandler(RequestHandler):
    def initialize(self, site: KitSite) -> None:
        self.site = site

    def get(self) -> None:
        self._answer()

    def post(self) -> None:
        self.site.idle_in = self.site.kept_for
        self._answer()

    def _answer(self) -> None:
        token = self.request.headers.get("Authorization", "")
        self.site.asked.append((str(self.request.method), self.request.path, token))
        if self.site.ended is not None:
            self.set_status(404)
            self.finish({"error": self.site.ended, "message": "It is over."})
            return
        self.set_status(self.site.status)
        self.finish(self.site.answer() if self.site.status == 200 else {"error": {}})
