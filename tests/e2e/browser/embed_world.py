"""Two sites in a real browser: an article, and the service whose notebooks it shows."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.async_api import BrowserContext, Frame, Page, async_playwright
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler, StaticFileHandler

from tests.e2e.browser.browser import ARGS, Watch, program, tell_failures, watch
from tests.e2e.running_service import Service
from tests.support import evidence
from tests.support.requirements import chromium, missing
from tmpnb.web.embedding import Embedding

# What the browser's own settings write into its profile.
BLOCKED = {"cookie_controls_mode": 1, "block_third_party_cookies": True}
ALLOWED = {"cookie_controls_mode": 0, "block_third_party_cookies": False}


DEADLINE = 120.0  # seconds to put all away


@dataclass(frozen=True)
class Sites:
    """A service on one site, and articles on others."""

    service: Service
    site: str  # of the service, as visitors know it
    article: str  # origin of the articles that may embed
    stranger: str  # origin of the same articles that may not
    articles: dict[str, str] = field(default_factory=dict)  # HTML by path


@dataclass(frozen=True)
class World(Sites):
    """Sites and a visitor's browser."""

    context: BrowserContext = field(kw_only=True)
    seen: Watch = field(kw_only=True)
    taken_before: int = field(kw_only=True)  # servers, before the test

    async def read(self, html: str, *, origin: str = "", before: str = "") -> Page:
        """Open an article with `html` in it; return when it is loaded.

        Args:
            html: The end of the article.
            origin: Of the article, if not of one that may embed.
            before: A script that runs before each page's own.
        """
        self.articles["/"] = html
        page = await self.context.new_page()
        if before:
            await page.add_init_script(before)
        await page.goto(f"{origin or self.article}/")
        return page

    def embedding(self, link: str = "", **more: Any) -> Embedding:
        """Return what an author pastes."""
        return Embedding(self.site, link, **more)

    async def take(self) -> dict[str, Any]:
        """Take a server as a program does; return what the service says of it."""
        url = f"{self.service.own_url}/api/spawn"
        return dict(
            json.loads((await self.service.client.fetch(url, method="POST", timeout=20)).body)
        )

    async def claims(self) -> int:
        """Return how many servers were taken since the test began."""
        return await claims(self.service) - self.taken_before


def frame_of(page: Page) -> Frame:
    """Return the frame in an article; there must be one."""
    assert len(page.frames) == 2
    return page.frames[1]


async def heard(page: Page, taken: dict[str, Any]) -> int | str:
    """Let a script of `page` ask a server with its token; return the status, or what failed."""
    return cast(
        "int | str",
        await page.evaluate(
            """({ base_url, token }) => fetch(
                `${base_url}api/status`, { headers: { Authorization: `token ${token}` } }
            ).then((answer) => answer.status, (error) => error.name)""",
            taken,
        ),
    )


async def claims(service: Service) -> int:
    """Return how many servers were taken since the service began."""
    return int((await service.numbers())["claims_total"])


class Worlds:
    """What the tests of a module share: a service for each scheme, a browser for each visitor.

    Each is made when a test first wants it. The tests do not meet: cookies, tabs and
    permissions are gone before the next one begins.
    """

    def __init__(self, *flags: str, static: Path | None = None, origin: str = "") -> None:
        """Keep what is needed; nothing is started yet.

        Args:
            flags: Of the program; `{article}` stands for the articles' origin, `{scheme}`
                for http or https.
            static: Files of the articles' site, under `/static/`.
            origin: Whose pages may embed, if not the articles'.
        """
        self._flags, self._static, self._origin = flags, static, origin
        self._stack = AsyncExitStack()
        self._sites: dict[bool, Sites] = {}
        self._visitors: dict[str, tuple[BrowserContext, Watch]] = {}

    async def get(self, *, https: bool = False, cookies: dict[str, Any] = BLOCKED) -> World:
        """Return a world in which nothing has happened yet, with a server that is ready.

        Args:
            https: Whether all sites are on https.
            cookies: What the visitor lets third parties do.
        """
        sites = self._sites.get(https) or await self._open_sites(https=https)
        key = json.dumps(cookies)
        context, seen = self._visitors.get(key) or await self._invite(key)
        for page in context.pages[1:]:
            await page.close()
        await context.clear_cookies()
        await context.clear_permissions()
        seen.requests.clear()
        seen.complaints.clear()
        sites.articles.clear()
        await sites.service.until(lambda s: s["available"] > 0, "a server that is ready")
        taken = await claims(sites.service)
        return World(**vars(sites), context=context, seen=seen, taken_before=taken)

    async def close(self) -> None:
        """End all of it."""
        await self._stack.aclose()

    async def _open_sites(self, *, https: bool) -> Sites:
        scratch = self._directory()
        scheme, pair = "https" if https else "http", certificate(scratch) if https else None
        articles: dict[str, str] = {}
        port = serve_articles(self._stack, articles, pair, self._static)
        article, stranger = f"{scheme}://article.test:{port}", f"{scheme}://evil.test:{port}"
        options = f" --ssl-cert={pair[0]} --ssl-key={pair[1]}" if pair else ""
        flags = [f.replace("{article}", article).replace("{scheme}", scheme) for f in self._flags]
        service = Service("--stop-servers-on-exit", *flags, proxy_options=options)
        site = f"{scheme}://tmp.test:{service.visitors}"
        service.flags += (f"--embed-origins={self._origin or article}", f"--public-url={site}")
        self._stack.callback(shutil.rmtree, service.state_dir)
        self._stack.callback(service.client.close)
        await service.start()
        self._stack.push_async_callback(service.stop)
        self._sites[https] = Sites(service, site, article, stranger, articles)
        return self._sites[https]

    async def _invite(self, key: str) -> tuple[BrowserContext, Watch]:
        profile = self._directory() / "profile"
        context = await self._stack.enter_async_context(visitor(profile, json.loads(key)))
        self._visitors[key] = context, watch(context)
        return self._visitors[key]

    def _directory(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tmpnb-embed-")))


@asynccontextmanager
async def embedding_world(
    *flags: str, https: bool = False, cookies: dict[str, Any] = BLOCKED, origin: str = ""
) -> AsyncIterator[World]:
    """Run a world of one test's own, whose service has flags as no other test wants them.

    Args:
        flags: As of `Worlds`.
        https: Whether all sites are on https.
        cookies: What the visitor lets third parties do.
        origin: Whose pages may embed, if not the articles'.
    """
    worlds = Worlds(*flags, origin=origin)
    try:
        yield await worlds.get(https=https, cookies=cookies)
    finally:
        await worlds.close()


def shared(loop: IOLoop, *flags: str, static: Path | None = None) -> Iterator[Worlds]:
    """Yield worlds whose services have these flags; for a fixture of a module."""
    worlds = Worlds(*flags, static=static)
    yield worlds
    loop.run_sync(worlds.close, timeout=DEADLINE)


def serve_articles(
    stack: AsyncExitStack,
    articles: dict[str, str],
    pair: tuple[Path, Path] | None,
    static: Path | None,
) -> int:
    """Serve articles, and files under `/static/`, until the stack is left; return the port."""

    class Article(RequestHandler):
        def get(self, path: str) -> None:
            self.set_header("Cache-Control", "no-store")
            self.finish(
                "<!doctype html><html lang=en><title>An article</title>"
                "<link rel=icon href='data:,'><style>body { max-width: 62rem; margin: 2rem auto;"
                " font: 1.1rem/1.5 Georgia, serif }</style><h1>What six times seven is</h1>"
                "<p>An article on another site, with a notebook that its readers can run:</p>"
                + articles.get(path, "")
            )

    secure = None
    if pair:
        secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secure.load_cert_chain(*pair)
    routes: list[Any] = [(r"(/\w*)", Article)]
    if static is not None:
        routes.append((r"/static/(.*)", StaticFileHandler, {"path": str(static)}))
    server = HTTPServer(Application(routes, log_function=lambda _: None), ssl_options=secure)
    socket, port = bind_unused_port()
    server.add_socket(socket)
    stack.push_async_callback(server.close_all_connections)
    stack.callback(server.stop)
    return port


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for every name under .test, signed by itself; return it and its key."""
    openssl = shutil.which("openssl") or missing("openssl: apt-get install openssl")
    made, key = directory / "cert.pem", directory / "key.pem"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=tmp.test", "-addext", "subjectAltName=DNS:tmp.test,DNS:article.test"]
    files = ["-keyout", str(key), "-out", str(made)]
    subprocess.run(  # noqa: S603 - the words are ours
        [openssl, *command.split(), *names, *files], check=True, capture_output=True, timeout=30
    )
    return made, key


@asynccontextmanager
async def visitor(profile: Path, cookies: dict[str, Any]) -> AsyncIterator[BrowserContext]:
    """Run a Chromium whose profile says what third parties may do."""
    started = program(chromium())
    (profile / "Default").mkdir(parents=True)
    preferences = json.dumps({"profile": cookies})
    (profile / "Default" / "Preferences").write_text(preferences)
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            profile,
            args=[*ARGS, "--ignore-certificate-errors"],
            viewport={"width": 1100, "height": 800},
            **started,
        )
        tell_failures(context)
        try:
            yield context
        except (Exception, asyncio.CancelledError, pytest.fail.Exception):
            await evidence.take_pictures()  # while there is something to be seen
            raise
        finally:
            await context.close()
