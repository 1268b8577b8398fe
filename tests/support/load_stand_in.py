"""A pretend tmpnb, JupyterHub or Jupyter server for the visitors of `tmpnb load`.

It knows only what the visitors ask for, and keeps what they did.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

TOKEN = "secret-of-the-server"
LOGIN = "login"  # the hub's cookie


@dataclass
class StandIn:
    """What it does and what was done; faults are set by tests."""

    system: str
    url: str = ""
    full: int = 0  # so many posts of /spawn are told to wait in line
    pending: int = 1  # so often the hub says that a server is on its way
    page_status: int = 200  # of the notebook page
    raises: str = ""  # name of an exception that every cell ends with
    hangs: bool = False  # cells never end
    drops: bool = False  # the kernel's connection is closed instead of an answer
    done: list[str] = field(default_factory=list)  # "METHOD path", the notebook's name as N
    saved: list[dict[str, Any]] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    here: asyncio.Event = field(default_factory=asyncio.Event)  # set once a cell was asked for

    def count(self, what: str) -> int:
        return self.done.count(what)


class Base(RequestHandler):
    def initialize(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in

    def prepare(self) -> None:
        path = self.request.path
        if "/api/contents/load-" in path:
            path = path.rpartition("/")[0] + "/N"
        self.stand_in.done.append(f"{self.request.method} {path}")

    def check_xsrf_cookie(self) -> None:
        """Take everything: the API's guard is `require`."""

    def require(self) -> None:
        """Refuse who did not come in by the door."""
        if self.stand_in.system == "hub":
            let_in = self.get_cookie(LOGIN) == "yes" and (
                self.request.method == "GET" or self.request.headers.get("X-XSRFToken") == "user-x"
            )
        else:
            let_in = self.request.headers.get("Authorization") == f"token {TOKEN}"
        if not let_in:
            raise HTTPError(403)


# tmpnb


class Ready(Base):
    def get(self) -> None:
        self.write({"ready": True, "checks": {}})


class Loading(Base):
    def get(self) -> None:
        self.write("<title>a page</title>")


class Spawn(Base):
    def post(self, path: str) -> None:
        if self.stand_in.full > 0:
            self.stand_in.full -= 1
            self.set_status(503)
            self.write({"status": "full", "ticket": "t1", "retry_after": 0.01})
        else:
            self.write({"url": f"/user/x{path or '/lab'}?token={TOKEN}"})


class Wait(Base):
    def get(self) -> None:
        self.write("event: turn\ndata: {}\n\n")


class Servers(Base):
    def delete(self) -> None:
        self.require()
        self.set_status(204)


# JupyterHub


class HubVersion(Base):
    def get(self) -> None:
        self.write({"version": "6"})


class HubRoot(Base):
    def get(self) -> None:
        self.redirect("/hub/tmplogin")


class HubLogin(Base):
    def get(self) -> None:
        self.set_cookie(LOGIN, "yes")
        self.set_cookie("_xsrf", "hub-x", path="/hub/")
        self.redirect("/hub/spawn-pending/x")


class HubPending(Base):
    def get(self) -> None:
        if self.stand_in.pending > 0:
            self.stand_in.pending -= 1
            self.write("<title>on its way</title>")
        else:
            self.redirect("/user/x/")


class HubProgress(Base):
    def get(self) -> None:
        if self.get_argument("_xsrf") != "hub-x":
            raise HTTPError(403)
        self.write('data: {"progress": 100, "ready": true}\n\n')


class HubUser(Base):
    def get(self) -> None:
        self.set_cookie("_xsrf", "user-x", path="/user/x/")
        self.redirect("/user/x/lab")


class HubServer(Base):
    def delete(self) -> None:
        if self.request.headers.get("X-XSRFToken") != "hub-x":
            raise HTTPError(403)
        self.set_status(204)


# A Jupyter server


class Version(Base):
    def get(self) -> None:
        self.write({"version": "2"})


class Page(Base):
    def get(self) -> None:
        if self.stand_in.system == "jupyter" and self.get_argument("token", "") != TOKEN:
            self.redirect("/login")
            return
        self.set_status(self.stand_in.page_status)
        self.write("<title>a notebook</title>")


class Contents(Base):
    def put(self) -> None:
        self.require()
        self.stand_in.saved.append(json.loads(self.request.body)["content"])
        self.set_status(201)

    def delete(self) -> None:
        self.require()
        self.set_status(204)


class Sessions(Base):
    def post(self) -> None:
        self.require()
        self.set_status(201)
        self.write({"id": "s1", "kernel": {"id": "k1"}})

    def delete(self) -> None:
        self.require()
        self.set_status(204)


class Channels(WebSocketHandler):
    def initialize(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in

    async def on_message(self, message: str | bytes) -> None:
        asked = json.loads(message)
        answers = list(self._answers(asked))
        if asked["header"]["msg_type"] == "execute_request":
            self.stand_in.ran.append(asked["content"]["code"])
            self.stand_in.here.set()
            if self.stand_in.drops:
                self.close()
                return
            if self.stand_in.hangs:
                return
        for kind, content in answers:
            header = {"msg_id": asked["header"]["msg_id"]}
            told = {"msg_type": kind, "parent_header": header, "content": content}
            await self.write_message(json.dumps(told))
        await self.write_message(b"bytes, which nobody minds", binary=True)

    def _answers(self, asked: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "status", {"execution_state": "busy"}
        if asked["header"]["msg_type"] == "kernel_info_request":
            yield "kernel_info_reply", {}
        elif self.stand_in.raises:
            yield "error", {"ename": self.stand_in.raises, "evalue": "", "traceback": []}
            yield "execute_reply", {"status": "error"}
        else:
            yield "stream", {"name": "stdout", "text": "42\n"}
            yield "execute_reply", {"status": "ok"}
        yield "status", {"execution_state": "idle"}


SERVER = [
    ("api/contents/.*", Contents),
    ("api/sessions.*", Sessions),
    ("api/kernels/k1/channels", Channels),
    ("lab.*", Page),
]
ROUTES: dict[str, list[tuple[str, type[RequestHandler]]]] = {
    "tmpnb": [
        ("/health/ready", Ready),
        ("/(?:lab/.*)?", Loading),
        ("/spawn(/.*)?", Spawn),
        ("/wait/t1", Wait),
        ("/api/servers/x", Servers),
        *((f"/user/x/{path}", handler) for path, handler in SERVER),
    ],
    "hub": [
        ("/hub/api", HubVersion),
        ("/", HubRoot),
        ("/hub/tmplogin", HubLogin),
        ("/hub/spawn-pending/x", HubPending),
        ("/hub/api/users/x/server/progress", HubProgress),
        ("/hub/api/users/x/server", HubServer),
        ("/user/x/", HubUser),
        *((f"/user/x/{path}", handler) for path, handler in SERVER),
    ],
    "jupyter": [
        ("/api", Version),
        ("/login", Loading),
        *((f"/{path}", handler) for path, handler in SERVER),
    ],
    "other": [("/", Loading)],
}


def start(system: str) -> tuple[StandIn, HTTPServer]:
    """Serve on a free port, in the running loop."""
    stand_in = StandIn(system)
    routes = [(path, handler, {"stand_in": stand_in}) for path, handler in ROUTES[system]]
    server = HTTPServer(Application(routes, log_function=lambda handler: None))
    sock, port = bind_unused_port()
    server.add_socket(sock)
    stand_in.url = f"http://127.0.0.1:{port}/"
    return stand_in, server
