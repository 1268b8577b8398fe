"""The whole site over a pool of pretend servers, and requests to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.testing import bind_unused_port
from tornado.web import Application

from tests.support.world import World, site_of
from tmpnb.core.links import FORM_KEY
from tmpnb.system.http import listen
from tmpnb.web.routes import admin_application, public_application

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "User-Agent": "Mozilla/5.0 Firefox"}
SCRIPT = {"Accept": "application/json"}
PERSON = {**HTML, "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1", "Sec-Fetch-Site": "none"}

Fetch = Callable[..., Awaitable[HTTPResponse]]


class Running:
    """A world, its site, and requests to it."""

    def __init__(self, capacity: int, stack: AsyncExitStack) -> None:
        self.world = World(capacity)
        self._stack = stack
        self._client = AsyncHTTPClient(force_instance=True, max_clients=100)

    async def start(self) -> None:
        await self._stack.enter_async_context(self.world.running())
        await self.world.until_ready(self.world.policy.capacity)
        orchestrator = self.world.orchestrator
        self.site = site_of(orchestrator, version="9.9")

    def serve(self, application: Application) -> str:
        sock, port = bind_unused_port()
        server = listen.server(application)
        server.add_socket(sock)
        self._stack.push_async_callback(server.close_all_connections)
        self._stack.callback(server.stop)
        return f"http://127.0.0.1:{port}"

    def public(self, template_path: Path | None = None, **changes: Any) -> Fetch:
        base = self.serve_public(template_path, **changes)
        return lambda path, **options: self.fetch(base + path, **options)

    def serve_public(self, template_path: Path | None = None, **changes: Any) -> str:
        return self.serve(public_application(replace(self.site, **changes), template_path))

    def admin(self, **changes: Any) -> Fetch:
        base = self.serve(admin_application(replace(self.site, **changes)))
        return lambda path, **options: self.fetch(base + path, **options)

    async def fetch(
        self, url: str, method: str = "GET", *, loads: bool = True, **options: Any
    ) -> HTTPResponse:
        """Ask; `loads`: go on to the page of ours that a form leads to, as a browser does."""
        answer = await self._once(url, method, **options)
        if not loads or f"{FORM_KEY}=" not in answer.headers.get("Location", ""):
            return answer
        cookies = answer.headers.get_list("Set-Cookie")
        sent = dict(options.pop("headers", {}))
        pairs = [*(cookie.partition(";")[0] for cookie in cookies), sent.get("Cookie", "")]
        options |= {"headers": sent | {"Cookie": "; ".join(filter(None, pairs))}, "body": None}
        for _ in range(2):  # the second leads to the address without the key
            place = answer.headers.get("Location", "")
            if place.startswith("/spawn"):
                answer = await self._once(urljoin(url, place), "GET", **options)
        for cookie in cookies:
            answer.headers.add("Set-Cookie", cookie)
        return answer

    async def _once(self, url: str, method: str, **options: Any) -> HTTPResponse:
        return await self._client.fetch(
            url,
            method=method,
            raise_error=False,
            follow_redirects=False,
            allow_nonstandard_methods=True,
            **options,
        )

    def pretend_downloads(self, pretend: Any) -> None:
        """Have archives packed by something that has as much of `Downloads` as is used."""
        vars(self.site.downloads).update(place=pretend.place, pack=pretend.pack)

    @property
    def taken(self) -> int:
        return self.world.pool.stats().claims_total
