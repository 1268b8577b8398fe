"""Sites to throw anything at, and the rules that must hold for each of their answers."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from tornado.ioloop import IOLoop

from tests.support.raw_http import Answer, Pair, Request, exchange, parsed
from tests.support.running_site import HTML, Running
from tests.support.world import cookie_of, gate_of
from tmpnb.access.public_hosts import PublicHosts
from tmpnb.access.ties import PASS, SESSION, TERMS
from tmpnb.core.server import Phase
from tmpnb.orchestrator.claims.line import GRACE
from tmpnb.system.logs.redaction import RedactingFormatter
from tmpnb.visitors.identity import COOKIE as VISITOR
from tmpnb.web import brand, cors
from tmpnb.web.brand import Brand
from tmpnb.web.routes import admin_application, public_application

HERE = ("http://site.example", "https://site.example")
PUBLIC_URL = "https://tmpnb.example"
API_TOKEN, ADMIN_TOKEN = "api-s3cret-7f3a9b1c", "admin-s3cret-51d0c8e2"
PASSPHRASE = "correct horse battery 51"
TYPED = "wrong-s3cret-passphrase-99"  # what a visitor typed is theirs, right or wrong
CAPACITY = 4
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
_SERVER = re.compile(r"/user/([A-Za-z0-9_-]+)/")
_URLS = ("href", "src", "action", "formaction", "data", "poster", "srcset")
_STATUS_ASKED_FOR = re.compile(r"/proxy-error/([0-9]{3})\Z")

SITES: dict[str, dict[str, Any]] = {
    "open": {},
    "framed": {"frame_ancestors": "'self' *", "cors": cors.cors({"allow_origin": "*"})},
    "strict": {
        "public_url": PUBLIC_URL,
        "hosts": PublicHosts(frozenset({"site.example"}), any_name=False),
        "frame_ancestors": "'self' https://journal.example",
        "brand": Brand(
            "A <b>brand</b>",
            brand.logo("x", _SVG),
            terms=brand.terms("x", b"Be kind."),
        ),
    },
    "guarded": {"api_token": API_TOKEN, "admin_token": ADMIN_TOKEN},
}


class Log(logging.Handler):
    """All that is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int, str]] = []
        self.setFormatter(RedactingFormatter(logging.Formatter()))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, self.format(record)))

    @contextmanager
    def kept(self) -> Iterator[Log]:
        root = logging.getLogger()
        level = root.level
        root.addHandler(self)
        root.setLevel(logging.INFO)
        try:
            yield self
        finally:
            root.removeHandler(self)
            root.setLevel(level)


class FuzzedSite:
    """A site on loopback, public or admin, with a pool that must come out of it unharmed."""

    def __init__(self, name: str, io_loop: IOLoop, *, admin: bool = False) -> None:
        self._stack = AsyncExitStack()
        self._loop, self._admin, self.changes = io_loop, admin, SITES[name]
        self.log = Log()
        self.given: set[str] = set()  # ids of servers that an answer gave to somebody
        self.running = self.run(self._start())

    def run(self, work: Any) -> Any:
        async def go() -> Any:
            return await work

        return self._loop.run_sync(go)

    async def _start(self) -> Running:
        running = Running(CAPACITY, self._stack)
        await running.start()
        orchestrator = running.world.orchestrator
        phrase = PASSPHRASE if self.changes is SITES["strict"] else ""
        gate = gate_of(orchestrator, passphrase=phrase)
        names = {"own_names": frozenset({"site.example"})}  # by which all is asked there
        self.site = replace(running.site, gate=gate, **names, **self.changes)
        application = admin_application if self._admin else public_application
        self.port = urlsplit(running.serve(application(self.site))).port or 0
        self.invite = gate.passes.invite(3)
        await self._use(running)
        self._stack.enter_context(self.log.kept())
        return running

    async def _use(self, running: Running) -> None:
        """Have a server in use, whose token and cookies are to be kept secret."""
        orchestrator, visitors = running.world.orchestrator, running.site.visitors
        server = await orchestrator.claims.claim()
        self.claimed, self.token = server.id, orchestrator.token_for(server.id)
        visitor = visitors.read(None)
        self.visitor = visitors.write(visitors.note(visitor, server.id), "127.0.0.1")
        self.session = cookie_of(orchestrator, SESSION, server.id)["Cookie"]
        self.passed = cookie_of(orchestrator, PASS, self.invite)["Cookie"]
        self.given.add(server.id)

    def revive(self) -> None:
        """Have a server in use again, and others ready, if there are none left."""
        world = self.running.world
        alive = world.orchestrator.claims.live(self.claimed) is not None
        if not (alive and world.pool.stats().available):
            self.empty()
            self.run(self._use(self.running))

    def close(self) -> None:
        self.run(self._stack.aclose())

    @property
    def frame_ancestors(self) -> str:
        """Who may frame the pages: of the operator's nobody."""
        return "'none'" if self._admin else self.site.frame_ancestors

    @property
    def secrets(self) -> Sequence[str]:
        key, _, rest = self.visitor.partition(".")
        signature = rest.rpartition(".")[2].partition("-")[0]
        invited = self.invite.rpartition(".")[2]
        return (self.token, key, signature, invited, API_TOKEN, ADMIN_TOKEN, PASSPHRASE, TYPED)

    def ask(self, request: Request) -> Answer | None:
        """Send a request; return its answer, which keeps all rules, or None if it was dropped."""
        self.log.lines.clear()
        received = self.run(exchange(self.port, request))
        answer = parsed(received, request.method)
        for level, line in self.log.lines:
            assert level < logging.ERROR or "/proxy-error/5" in line, line
            assert "Traceback" not in line
            assert not any(secret in line for secret in self.secrets), f"a secret: {line}"
            assert line.isprintable(), f"control characters: {line!r}"
        if answer is not None:
            Rules(self, request, answer).check()
        return answer

    def claim_seen(self, text: str) -> None:
        found = _SERVER.search(text)
        if found:
            self.given.add(found.group(1))

    def check_unharmed(self) -> None:
        """Nobody has a server whom no answer gave it; then numbers and a normal visit work."""
        world = self.running.world
        self.empty()
        assert world.orchestrator.health.problems == {}
        if self._admin or self.changes is SITES["guarded"]:
            return
        stats = self.ask(Request(b"GET", b"/stats"))
        assert stats is not None
        assert json.loads(stats.body)["available"] == CAPACITY
        visit = self.ask(Request(b"POST", b"/spawn/lab", self.welcome, b""))
        assert visit is not None
        assert visit.status == 303, visit.body
        assert visit.one("Location").startswith("/user/")

    def empty(self) -> None:
        """End all servers that are in use, and the line; there may be none but those given."""
        world = self.running.world
        taken = world.servers(Phase.CLAIMED)
        assert {server.id for server in taken} <= self.given
        for server in taken:
            world.orchestrator.claims.close(server)
        world.clock.advance(GRACE + 1.0)  # who waited in line has left
        self.run(world.until_ready(CAPACITY))

    @property
    def api(self) -> list[Pair]:
        """Headers of a program that may take servers."""
        said = {"Authorization": f"token {API_TOKEN}", "X-Tmpnb-Passphrase": PASSPHRASE}
        return [(name.encode(), value.encode()) for name, value in said.items()]

    @property
    def welcome(self) -> list[Pair]:
        """Headers of a person who is let in, and has no server yet."""
        return self._person()

    @property
    def welcome_back(self) -> list[Pair]:
        """Headers of the person who has the server in use."""
        return self._person(f"; {VISITOR}={self.visitor}")

    def _person(self, cookie: str = "") -> list[Pair]:
        agreed = self.site.brand.terms.version if self.site.brand.terms else ""
        terms = cookie_of(self.running.world.orchestrator, TERMS, agreed)["Cookie"]
        cookies = f"{self.passed}; {terms}{cookie}"
        return [
            *((name.encode(), value.encode()) for name, value in HTML.items()),
            (b"Sec-Fetch-Site", b"same-origin"),
            (b"Cookie", cookies.encode()),
        ]


class Rules:
    """What must hold for one answer."""

    def __init__(self, site: FuzzedSite, request: Request, answer: Answer) -> None:
        self._site, self._request, self._answer = site, request, answer

    def check(self) -> None:
        answer = self._answer
        if answer.status == 400 and not answer.headers:
            assert answer.body == b""  # no HTTP: the server below us has refused it
            return
        self._status()
        self._headers()
        self._location()
        if answer.kind == "text/html" and answer.body:
            self._page(answer.body.decode())
        elif answer.kind == "application/json" and answer.body:
            self._json(json.loads(answer.body))
        assert b"Traceback" not in answer.body
        assert b".py" not in answer.body

    def _status(self) -> None:
        status, asked = self._answer.status, _STATUS_ASKED_FOR.match(self._request.path)
        assert status < 500 or status == 503 or (asked and int(asked[1]) == status), status

    def _headers(self) -> None:
        answer = self._answer
        for name, value in answer.headers:
            assert name.lower() not in ("x-evil", "server-timing"), name
            assert "evil-cookie" not in value
        assert answer.one("X-Content-Type-Options") == "nosniff"
        if answer.body and answer.kind.startswith(("text/", "application/json")):
            assert answer.one("Content-Type").lower().endswith("charset=utf-8"), answer.headers
        policy = answer.one("Content-Security-Policy")
        if answer.kind == "text/html":
            ours = f"frame-ancestors {self._site.frame_ancestors}"
            words = [directive.strip() for directive in policy.split(";")]
            assert "default-src 'self'" in words
            assert ours in words
            assert "unsafe" not in policy
        if self._evil_host_in(answer.body):
            assert answer.one("Cache-Control") == "no-store", "another visitor could get it"

    def _evil_host_in(self, body: bytes) -> bool:
        hosts = [value for name, value in self._request.headers if name.lower() == b"host"]
        return any(host and host in body for host in hosts if len(host) > 3)

    def _location(self) -> None:
        location = self._answer.one("Location")
        if not location:
            assert self._answer.status not in (301, 302, 303, 307, 308)
            return
        assert is_here(location), f"leads elsewhere: {location}"
        self._site.claim_seen(location)

    def _json(self, value: Any) -> None:
        if self._answer.status >= 400 and not ("checks" in value and "ready" in value):
            error = value.get("error", {})
            named = isinstance(error.get("code"), str) and isinstance(error.get("message"), str)
            assert named or value.get("status") in ("full", "starting"), value
        if self._answer.status == 200 and "url" in value:
            self._site.claim_seen(value["url"])

    def _page(self, text: str) -> None:
        page = Page()
        page.feed(text)
        page.close()
        assert page.problems == []
        hosts = [h for h in (self._site.changes.get("public_url"), *HERE) if h]
        hosts += [
            f"{scheme}://{value.decode('latin-1')}"
            for name, value in self._request.headers
            for scheme in ("http", "https")
            if name.lower() == b"host"
        ]
        for where in page.links:
            # Their own address, as the page for authors has it, is all that may be absolute.
            own = any(where == host or where.startswith(f"{host}/") for host in hosts)
            assert own or is_here(where), f"leads elsewhere: {where}"


def is_here(location: str) -> bool:
    """Whether a browser stays on this host, or goes to the public URL."""
    if re.search(r"[\x00-\x20\x7f]", location):
        return False
    if location.startswith(f"{PUBLIC_URL}/"):
        return True
    return re.match(r"/(?![/\\])|#|\Z", location) is not None


class Page(HTMLParser):
    """What a browser makes of a page: its links, and whatever may not be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("style", "base", "object", "iframe", "marquee"):
            self.problems.append(f"<{tag}>")
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            self.problems.append("an inline script, or one from elsewhere")
        self.problems += [
            f"{tag} {name}" for name in given if name.startswith("on") or name == "style"
        ]
        self.links += [given[name] for name in _URLS if name in given]

    handle_startendtag = handle_starttag
