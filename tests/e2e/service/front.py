"""A real nginx with deploy/nginx.conf, but for TLS and places on this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from tests.e2e.running_service import free_ports, until_true
from tests.support.requirements import ROOT, missing

CONFIGURATION = ROOT / "deploy" / "nginx.conf"


@asynccontextmanager
async def front(behind: str, directory: Path, *changes: tuple[str, str]) -> AsyncIterator[int]:
    """Run nginx before `behind`, a URL; what it writes is in `directory`.

    Args:
        behind: Where requests go, as `http://127.0.0.1:8000`.
        directory: For its configuration, logs, and bodies, which lie in `bodies`.
        changes: More pairs of what stands in the file and what is to stand there.
    """
    if shutil.which("nginx") is None:
        missing("nginx: apt-get install nginx")
    [port] = free_ports(1)
    file = directory / "nginx.conf"
    text = changed(
        CONFIGURATION.read_text(),
        *changes,
        ("listen 443 ssl", f"listen 127.0.0.1:{port}"),
        ("listen [::]:443 ssl;", f"listen [::1]:{port};" if has_ipv6() else ""),
        ("ssl_certificate /etc/letsencrypt/live/tmpnb.example/fullchain.pem;", ""),
        ("ssl_certificate_key /etc/letsencrypt/live/tmpnb.example/privkey.pem;", ""),
        ("127.0.0.1:8000", behind.removeprefix("http://")),
        *places(directory),
    )
    file.write_text(text)
    program = await asyncio.create_subprocess_exec(
        "nginx", "-e", f"{directory}/errors", "-c", str(file), "-g", "daemon off;"
    )
    try:
        await until_true(lambda: is_open(port), "nginx listens")
        yield port
    finally:
        program.terminate()
        await program.wait()


def places(directory: Path) -> list[tuple[str, str]]:
    """Return the changes by which nginx writes into `directory` alone."""
    return [
        ("/run/nginx.pid", f"{directory}/pid"),
        ("/var/log/nginx/", f"{directory}/"),
        ("/var/lib/nginx/body", f"{directory}/bodies"),
        ("user www-data;", "user root;" if os.geteuid() == 0 else ""),  # who reads no other's /tmp
    ]


def changed(text: str, *changes: tuple[str, str]) -> str:
    """Return a configuration with each of the changes made, none of which is in vain."""
    for there, here in changes:
        assert there in text, there
        text = text.replace(there, here)
    return text


@asynccontextmanager
async def application(
    *rules: tuple[str, type[RequestHandler]], patience: float | None = None
) -> AsyncIterator[int]:
    """Run a site of the tests' own; `patience` is what it has with who sends nothing."""
    sock, port = bind_unused_port()
    server = HTTPServer(Application(list(rules)), idle_connection_timeout=patience)
    server.add_socket(sock)
    try:
        yield port
    finally:
        server.stop()
        await server.close_all_connections()


class Echo(WebSocketHandler):
    """A websocket that says what it is told."""

    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


def has_ipv6() -> bool:
    """Whether the loopback has an IPv6 address here."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
