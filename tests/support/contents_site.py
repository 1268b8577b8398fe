"""A notebook server's files as its contents API shows them, kept in memory; with faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.testing import bind_unused_port
from tornado.web import Application, HTTPError, RequestHandler

BASE = "/user/Zk3v0bq8rWq1/"
MODIFIED = "2026-03-04T05:06:08Z"


@dataclass
class ContentsSite:
    """What there is, and what goes wrong; tests change it at will."""

    token: str
    files: dict[str, bytes] = field(default_factory=dict)  # by path
    listed: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # instead, by folder
    lists: dict[str, Any] = field(default_factory=dict)  # whole answers, by folder
    statuses: dict[str, int] = field(default_factory=dict)  # of files and folders, by path
    breaks: set[str] = field(default_factory=set)  # files that end too early
    cut: set[str] = field(default_factory=set)  # files that end too early, and do not say it
    unsized: set[str] = field(default_factory=set)  # files that come whole, without a length
    endless: set[str] = field(default_factory=set)  # files that never end
    dies_with: str | None = None  # path at which it closes all connections, and from then on
    heard: Callable[[str], object] = lambda _: None  # told of each path that is asked for
    silent: set[str] = field(default_factory=set)  # files for which it closes connections
    mute: bool = False  # whether connections for files are closed without an answer
    sent: int = 0  # bytes of endless files
    left: bool = False  # whether somebody stopped reading an endless file
    asked: list[str] = field(default_factory=list)  # addresses, without the base
    port: int = 0
    _dead: bool = False

    @property
    def address(self) -> str:
        """As an engine says it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> HTTPServer:
        """Listen on a free port."""
        args = {"site": self}
        server = HTTPServer(
            Application(
                [
                    (BASE + r"api/contents/(.*)", _Contents, args),
                    (BASE + r"files/(.*)", _Files, args),
                ],
                log_function=lambda _: None,
            )
        )
        socket, self.port = bind_unused_port()
        server.add_socket(socket)
        return server

    def dies(self, path: str) -> bool:
        """Whether it is dead from this request on."""
        self._dead = self._dead or path == self.dies_with
        return self._dead

    def entries(self, folder: str) -> Iterator[dict[str, Any]]:
        """Yield what is directly in a folder."""
        start, folders = f"{folder}/" if folder else "", set()
        for path, content in self.files.items():
            name, slash, _ = path.removeprefix(start).partition("/")
            if not path.startswith(start) or (slash and name in folders):
                continue
            folders.add(name)
            what = {"name": name, "path": start + name, "last_modified": MODIFIED}
            kind = "notebook" if name.endswith(".ipynb") else "file"
            size = None if slash else len(content)
            yield what | {"type": "directory" if slash else kind, "size": size}


class _Handler(RequestHandler):
    def initialize(self, site: ContentsSite) -> None:
        self.site = site

    def check(self, path: str) -> None:
        self.site.asked.append((self.request.uri or "").removeprefix(BASE))
        self.site.heard(path)
        if self.request.headers.get("Authorization") != f"token {self.site.token}":
            raise HTTPError(403)
        if path in self.site.statuses:
            raise HTTPError(self.site.statuses[path])


class _Contents(_Handler):
    def get(self, folder: str) -> None:
        self.check(folder)
        if self.site.dies(folder):
            self.detach().close()
            return
        entries = self.site.listed.get(folder) or list(self.site.entries(folder))
        self.finish(self.site.lists.get(folder, {"type": "directory", "content": entries}))


class _Files(_Handler):
    async def get(self, path: str) -> None:
        self.check(path)
        dies = self.site.dies(path)
        if (
            self.site.mute
            or path in self.site.silent
            or (dies and path not in self.site.breaks | self.site.cut)
        ):
            self.detach().close()
        elif path in self.site.breaks:
            self.set_header("Content-Length", "100")
            self.write(self.site.files[path])
            await self.flush()
            self.detach().close()
        elif path in self.site.cut:
            self.write(self.site.files[path][:-1])
            await self.flush()  # before its length is known
            self.detach().close()
        elif path in self.site.unsized:
            self.write(self.site.files[path])
            await self.flush()
            self.finish()
        elif path in self.site.endless:
            await self.pour()
        else:
            self.finish(self.site.files[path])

    async def pour(self) -> None:
        try:
            while True:
                self.write(bytes(100_000))
                await self.flush()
                self.site.sent += 100_000
                await asyncio.sleep(0)
        except StreamClosedError:
            self.site.left = True
