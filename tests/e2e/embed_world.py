"""Two sites in a real browser: an article, and the service whose notebooks it shows."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requirements
from e2e.browser import ARGS, Watch, watch
from e2e.service import Service
from playwright.async_api import BrowserContext, Error, Frame, Page, async_playwright
from requirements import missing
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tmpnb.embedding import Embedding

# What the browser's own settings write into its profile.
BLOCKED = {"cookie_controls_mode": 1, "block_third_party_cookies": True}
ALLOWED = {"cookie_controls_mode": 0, "block_third_party_cookies": False}


@dataclass
class World:
    """A service on one site, an article on another, and a visitor's browser."""

    service: Service
    site: str  # of the service, as visitors know it
    article: str  # origin of the article
    context: BrowserContext
    seen: Watch
    articles: dict[str, str] = field(default_factory=dict)  # HTML by path

    async def read(self, html: str) -> Page:
        """Open an article with `html` in it; return when it is loaded."""
        self.articles["/"] = html
        page = await self.context.new_page()
        for tries in range(3):
            try:
                await page.goto(f"{self.article}/")
                break
            except Error as error:  # containers that come and go change this machine's network
                if "ERR_NETWORK_CHANGED" not in str(error) or tries == 2:
                    raise
        return page

    def embedding(self, link: str = "", **more: Any) -> Embedding:
        """Return what an author pastes."""
        return Embedding(self.site, link, **more)

    async def claims(self) -> int:
        """Return how many servers were taken."""
        return int((await self.service.numbers())["claims_total"])


def frame_of(page: Page) -> Frame:
    """Return the frame in an article; there must be one."""
    assert len(page.frames) == 2
    return page.frames[1]


@asynccontextmanager
async def embedding_world(
    *flags: str,
    https: bool = False,
    cookies: dict[str, Any] | None = None,
    origin: str | None = None,
) -> AsyncIterator[World]:
    """Run service, article and browser, and leave nothing behind.

    Args:
        flags: Of the program.
        https: Whether both sites are on https.
        cookies: What the visitor lets third parties do; the browser's default if not given.
        origin: Who may embed; the article's site if not given.
    """
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tmpnb-embed-")))
        scheme, pair = "https" if https else "http", certificate(scratch) if https else None
        articles: dict[str, str] = {}
        port = serve_articles(stack, articles, pair)
        article = f"{scheme}://article.test:{port}"
        options = f" --ssl-cert={pair[0]} --ssl-key={pair[1]}" if pair else ""
        service = Service("--stop-servers-on-exit", *flags, proxy_options=options)
        site = f"{scheme}://tmp.test:{service.visitors}"
        allowed = article if origin is None else origin
        service.flags += (f"--embed-origins={allowed}", f"--public-url={site}")
        stack.callback(shutil.rmtree, service.state_dir)
        stack.callback(service.client.close)
        await service.start()
        stack.push_async_callback(service.stop)
        context = await stack.enter_async_context(visitor(scratch / "profile", cookies))
        yield World(service, site, article, context, watch(context), articles)


def serve_articles(
    stack: AsyncExitStack, articles: dict[str, str], pair: tuple[Path, Path] | None
) -> int:
    """Serve articles until the stack is left; return the port."""

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
    server = HTTPServer(
        Application([(r"(/\w*)", Article)], log_function=lambda _: None), ssl_options=secure
    )
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
async def visitor(profile: Path, cookies: dict[str, Any] | None) -> AsyncIterator[BrowserContext]:
    """Run a Chromium whose profile says what third parties may do."""
    executable = requirements.chromium()
    (profile / "Default").mkdir(parents=True)
    if cookies is not None:
        preferences = json.dumps({"profile": cookies})
        (profile / "Default" / "Preferences").write_text(preferences)
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            profile,
            executable_path=executable,
            args=[*ARGS, "--ignore-certificate-errors"],
            viewport={"width": 1100, "height": 800},
        )
        try:
            yield context
        finally:
            await context.close()
