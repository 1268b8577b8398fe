"""The real templates and scripts, served without a pool behind them."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tests.e2e.browser.browser import stop_clock
from tests.support.requirements import ROOT
from tmpnb.core.endings import Farewell
from tmpnb.core.server import StopReason
from tmpnb.system.units import Moment
from tmpnb.visitors.time_left import Lifetime
from tmpnb.web import markup
from tmpnb.web.embedding import embedding
from tmpnb.web.pages.question import Answer, Choice
from tmpnb.web.pages.session import outlook

POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'"
NOTEBOOK = "/user/Zk3v0bq8rWq1mE5d/lab"
POOL = {"available": 7, "starting": 1, "capacity": 12}
PLACE = {"ticket": "t1cket", "position": 3, "estimate": None}
FULL = {"status": "full", "retry_after": 10, "available": 0, "starting": 0, "capacity": 12}
STARTING = {"status": "starting", "retry_after": 2, "available": 0, "starting": 3, "capacity": 12}
LOGO = Path(__file__).parent / "tidal-atlas.svg"
BRANDED = {
    "brand": "Tidal Atlas",
    "logo": "/logo?v=1",
    "welcome": markup.parse(
        "Each chapter of the [Tidal Atlas](https://atlas.example/) is a notebook that you can "
        "change and run.\n\nIt is temporary, so download what you want to keep.",
        1000,
    ),
    "footer": markup.parse("Run by the [Institute of Tides](https://tides.example/).", 1000),
    "announcement": markup.parse("On Friday from 9 to 10 there are no notebooks. [Why](/)", 1000),
    "has_terms": True,
    "terms_text": markup.parse(
        "Use the notebooks to work with the atlas. Do not use them to mine coins, to scan other "
        "machines, or to store anything.\n\nWhatever you leave in a notebook is deleted when it "
        "ends, after four hours at the latest. We keep no copy, and we do not look at it.\n\n"
        "Questions go to [the institute](mailto:atlas@tides.example).",
        1000,
    ),
}


def _pages() -> dict[str, dict[str, Any]]:
    """Return the variables of each page as the handlers give them."""
    spawn = {"spawn_url": "/spawn/lab/a%20b.ipynb?x=1&y=2"}
    return {
        "loading": {**spawn, **POOL, "autostart": "no", "status": 200},
        "full": {**spawn, **POOL, "available": 0, "starting": 0, "retry_after": 10, **PLACE}
        | {"status": 503},
        "ended": {
            **spawn,
            "farewell": Farewell(
                "Nobody had used it for 60 minutes, so it was closed.", StopReason.IDLE, 1_040.0
            ),
            "reopen_url": "/spawn/user/Zk3v0bq8rWq1mE5d/lab",
            "server_id": "Zk3v0bq8rWq1mE5d",
            "status": 404,
        },
        "session": {**session(), "status": 200},
        "reconnecting": {"retry_after": 2, "status": 503},
        "error": {
            "title": "Not Found",
            "message": "There is nothing at this address. <b>Really</b>",
            "status": 404,
        },
        "info": {"stats": {}, "status": 200},
        "branded": {**spawn, **POOL, "autostart": "no", "status": 200, **BRANDED}
        | {"template": "loading"},
        "terms": {"spawn_url": "/spawn/lab", "agree": "v1", "status": 200, **BRANDED},
        "passphrase": {"action": "/spawn/lab", "was_wrong": True, "fresh": "1", "status": 403},
        "question": {
            "action": "/spawn/lab",
            "choices": [_choice("Zk3v0bq8rWq1mE5d")],
            "has_more": False,
            "held": "p4ss",
            "agree": "v1",
            "status": 200,
        },
        "questions": {
            "action": "/spawn/lab",
            "choices": [_choice("Zk3v0bq8rWq1mE5d"), _choice("bW5lxa0Qd7Rk2uTz"), Choice("0ffer")],
            "has_more": True,
            "held": "",
            "agree": "",
            "status": 200,
            "template": "question",
        },
        "embed": {
            "asked": {"path": "notebooks/a b.ipynb", "title": "", "height": ""},
            "wanted": embedding("https://tmp.test", "notebooks/a b.ipynb"),
            "problem": "",
            "origins": ("https://journal.example", "https://*.blog.example:8443"),
            "is_https": True,
            "status": 200,
        },
    }


def _choice(server_id: str) -> Choice:
    return Choice("0ffer", Moment(1_040.0), server_id, "jupyter/minimal-notebook")


def session() -> dict[str, Any]:
    """Return the variables of the page beside a notebook, at the time of a stopped clock."""
    lifetime = Lifetime(now=1_000.0, claimed_at=0.0, expires_at=14_400.0, idle_at=4_120.0)
    who = {"server_id": "Zk3v0bq8rWq1mE5d", "token": "5ec2e7", "kept": False}
    who |= {"notebook": "/user/Zk3v0bq8rWq1mE5d/"}
    return {**who, "lifetime": lifetime, **outlook(lifetime)}


def _stats() -> dict[str, Any]:
    return {
        **POOL,
        "claimed": 3,
        "stopping": 1,
        "claims_total": 1874,
        "claims_refused_total": 12,
        "claims_refused_by_limit_total": 2,
        "version": "1.0.0",
        "container_image": "jupyter/minimal-notebook",
    }


@dataclass
class PagesSite:
    """What the site shows and answers, and what it was asked; tests change it at will."""

    pages: dict[str, dict[str, Any]] = field(default_factory=_pages)
    stats: dict[str, Any] = field(default_factory=_stats)
    stats_status: int = 200
    notebook_status: int = 200
    polls: int = 0  # of /api/stats
    posts: list[tuple[str, str]] = field(default_factory=list)  # path with query, Accept
    answers: deque[tuple[int, Any]] = field(default_factory=deque)  # then always a notebook
    forms: list[dict[str, str]] = field(default_factory=list)  # the bodies of `posts`
    waits: list[str] = field(default_factory=list)  # tickets that were waited with
    events: deque[str] = field(default_factory=deque)  # of /wait; an empty one ends the answer
    wait_status: int = 200
    hold: asyncio.Event | None = None  # answers to POST wait for it
    sandbox: str = "allow-scripts allow-same-origin allow-forms"  # of the frame in /article
    parents: str = "'self' http://article.test:*"  # who may frame the pages, as they are told
    port: int = 0

    @property
    def url(self) -> str:
        """The site's own origin."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> HTTPServer:
        """Listen on a free port."""
        kinds = [
            (r"/article", ArticleHandler),
            (r"/spawn(?:/.*)?", SpawnHandler),
            (r"/user/.*", NotebookHandler),
            (r"/api/stats", StatsHandler),
            (r"/wait/(\w+)", WaitHandler),
            (r"/logo", LogoHandler),
            (r"/(\w*)", PageHandler),
        ]
        server = HTTPServer(
            Application(
                [(path, kind, {"site": self}) for path, kind in kinds],
                template_path=str(ROOT / "tmpnb" / "web" / "templates"),
                static_path=str(ROOT / "tmpnb" / "web" / "static"),
                log_function=lambda _: None,
            )
        )
        socket, self.port = bind_unused_port()
        server.add_socket(socket)
        return server


async def look_at_numbers(page: Page, site: PagesSite) -> None:
    """Open the page of numbers with a stopped clock; return when it shows its first ones."""
    await stop_clock(page)
    await page.goto(f"{site.url}/info")
    await expect(page.get_by_role("img")).to_have_attribute("aria-label", re.compile("between"))


async def next_numbers(page: Page, site: PagesSite) -> None:
    """Let the next numbers come; return when they are shown."""
    site.stats["claims_total"] += 1
    await page.clock.run_for(5_000)
    shown = page.locator("td[data-stat=claims_total]")
    await expect(shown).to_have_text(str(site.stats["claims_total"]))


class _Handler(RequestHandler):
    def initialize(self, site: PagesSite) -> None:
        self.site = site

    def show(self, name: str) -> None:
        values = {**self.site.pages[name], "stats": self.site.stats}
        self.set_status(values["status"])
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cache-Control", "no-store")
        common = {
            "brand": "tmpnb",
            "logo": self.static_url("favicon.svg"),
            "static": self.static_url,
            "parents": self.site.parents,
            "proof": "",
            "has_terms": False,
            "has_pages": True,
            "agree": "",
            "fresh": "",
            "answer": Answer(),
            "takes": "",
            "proof_of": "",
            **dict.fromkeys(("welcome", "footer", "announcement", "analytics")),
        }
        self.render(f"{values.get('template', name)}.html", **common | values)


class PageHandler(_Handler):
    def get(self, name: str) -> None:
        self.show(name or "loading")


class LogoHandler(_Handler):
    def get(self) -> None:
        self.set_header("Content-Type", "image/svg+xml")
        self.write(LOGO.read_bytes())


class ArticleHandler(_Handler):
    def get(self) -> None:
        frame = f"http://tmp.test:{self.site.port}/"
        self.write(f'<iframe title="t" sandbox="{self.site.sandbox}" src="{frame}"></iframe>')


class SpawnHandler(_Handler):
    async def post(self) -> None:
        accept = self.request.headers["Accept"]
        self.site.posts.append((self.request.uri or "", accept))
        body = {name: self.get_body_argument(name) for name in self.request.body_arguments}
        self.site.forms.append(body)
        if self.site.hold:
            await self.site.hold.wait()
        code, answer = (200, {"url": f"{NOTEBOOK}?token=secret"})
        if self.site.answers:
            code, answer = self.site.answers.popleft()
        if "json" in accept:
            self.set_status(code)
            self.write(answer)
        elif code == 200:
            self.redirect(answer["url"], status=303)
        else:
            self.show("full")


class WaitHandler(_Handler):
    async def get(self, ticket: str) -> None:
        self.site.waits.append(ticket)
        if self.site.wait_status != 200:
            self.set_status(self.site.wait_status)
            return
        self.set_header("Content-Type", "text/event-stream")
        while True:  # until the page has gone, or the test has
            if self.site.events:
                event = self.site.events.popleft()
                if not event:
                    return
                self.write(f"{event}\n\n")
                await self.flush()
            await asyncio.sleep(0.02)


class NotebookHandler(_Handler):
    def get(self) -> None:
        if self.site.notebook_status == 200:
            icon = self.static_url("favicon.svg")
            self.write(f'<!doctype html><title>The notebook</title><link rel="icon" href="{icon}">')
        else:
            self.show("reconnecting")


class StatsHandler(_Handler):
    def get(self) -> None:
        self.site.polls += 1
        self.set_status(self.site.stats_status)
        self.write(self.site.stats)
