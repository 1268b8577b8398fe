"""No request holds the loop, whatever it says and whatever state the service is in."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from tornado.web import Application

from tests.support import watchdog
from tests.support.raw_http import Request, exchange
from tests.support.running_site import Running
from tests.support.watchdog import Watchdog, nobody_holds_the_loop
from tests.support.world import World, gate_of
from tmpnb.core.server import Phase
from tmpnb.errors import ProxyError, UnreachableError
from tmpnb.spawners.fake import FakeSpawner
from tmpnb.system.http.client import LISTING, Client
from tmpnb.system.http.listen import LARGEST_BODY
from tmpnb.web.routes import admin_application, public_application

pytestmark = pytest.mark.gen_test(timeout=120)

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
TOGETHER = 5  # requests
SHORT = 0.2  # seconds after which a request that waits in line is hung up on
MOST, LONG = 64_000, 14_000  # bytes of a body, and of a header or an address
MARKS = "\N{COMBINING ACUTE ACCENT}\N{COMBINING CEDILLA}".encode()
FIELDS = (b"passphrase", b"ticket", b"wait", b"agree", b"fresh", b"token")
HEADERS = (
    b"Cookie", b"X-Forwarded-For", b"X-Forwarded-Proto", b"User-Agent", b"Accept", b"Origin",
    b"Authorization", b"X-Tmpnb-Passphrase", b"Sec-Purpose", b"If-None-Match", b"Range",
    b"Content-Type", b"Accept-Encoding", b"Host",
)  # fmt: skip
COOKIES = (b"tmpnb-visitor", b"tmpnb-pass", b"tmpnb-session", b"tmpnb-terms")
FORM = b"application/x-www-form-urlencoded"
READING = (b"/spawn/tree", b"/proxy-error", b"/embed", b"/api/spawn", b"/session", b"/api/pool")
QUERIES = (b"url=//a", b"path=", b"title=", b"height=", b"token=", b"wait=", b"url=/user/a", b"")
TEXTS = {
    "marks": MARKS,
    "commas": b",",
    "semicolons": b"a=;",
    "quotes": b'W/"\\',
    "slashes": b"/.",
    "colons": b"1:",
    "digits": b"9",
    "brackets": b"[",
    "escapes": b"%CC%81%CC%A7",
    "tokens": b"token:",
    "fields": b"a&b=",
    "bots": b"+http",
    "parts": b"--b\r\na:\r\n\r\n",
}


class Unread(FakeSpawner):
    """An engine that cannot be read, so that nothing is known of former servers."""

    away = True

    async def list(self) -> Any:
        while self.away:
            await asyncio.sleep(0.05)
        return await super().list()


class Served:
    """A service in one state, and both of its applications."""

    def __init__(self, running: Running, ids: dict[str, str]) -> None:
        gate = gate_of(running.world.orchestrator, passphrase="four plain words")
        self.site = replace(running.site, gate=gate)
        self._running, self._ids = running, ids
        self.applications = [public_application(self.site), admin_application(self.site)]

    def ports(self) -> Iterable[tuple[int, Application]]:
        for application in self.applications:
            yield int(self._running.serve(application).rpartition(":")[2]), application

    def paths(self, application: Application, only: str = "") -> set[str]:
        """Return addresses for every row of an application's table, with each id we know."""
        rules = application.wildcard_router.rules
        patterns = [rule.matcher.regex.pattern for rule in rules]  # type: ignore[attr-defined]
        return {
            re.sub(r"\\(.)", r"\1", path)
            for pattern in patterns
            for kind, server_id in self._ids.items()
            if not only or kind == only
            for path in list(filled(pattern, server_id))[: 1 if only else None]
        }


def filled(pattern: str, server_id: str) -> Iterable[str]:
    """Return paths that a pattern of the tables matches."""
    path = pattern.removesuffix("$").replace("([A-Za-z0-9_-]{1,64})", server_id)
    path = path.replace("([0-9]{3})", "503").replace("(?!/user(?:/|$))", "")
    path = re.sub(r"\(\(\?:(\w+)(?:\|\w+)*\)\(\?:/\.\*\)\?\)", r"\1/a.ipynb", path)
    path = path.replace("(?:api/)?", "api/").replace("/?", "")
    for rest in ("/tree/a.txt", ""):
        whole = path.replace("(/.*)?", rest).replace("(.*)", "tmpnb.css")
        yield re.sub(r"[()]", "", whole)


async def ask(port: int, request: Request) -> bytes:
    """Send a request; hang up if it waits in line."""
    try:
        async with asyncio.timeout(SHORT):
            return await exchange(port, request)
    except TimeoutError:
        return b""


async def ask_all(served: Served, dog: Watchdog) -> None:
    """Ask at each address by each method."""
    form = [(b"Content-Type", FORM)]
    for port, application in served.ports():
        for path in sorted(served.paths(application)):
            bodies = {"POST": b"wait=0.1&passphrase=four+plain+words"}
            asked = (
                Request(method.encode(), path.encode(), form, bodies.get(method, b""))
                for method in METHODS
            )
            await asyncio.gather(*(ask(port, request) for request in asked))
            dog.check()


@asynccontextmanager
async def service(state: str) -> AsyncIterator[Served]:
    """Give a service: `serving`, `not adopted`, `closing`, `barred`, `empty`, `proxy down`."""
    spawner = Unread() if state == "not adopted" else FakeSpawner()
    async with AsyncExitStack() as stack:
        running = Running(0 if state == "not adopted" else 3, stack)
        running.world = World(3, spawner=spawner, interval=60)
        if isinstance(spawner, Unread):
            running.world.policy = replace(running.world.policy, capacity=0)
        await running.start()
        if isinstance(spawner, Unread):
            stack.callback(setattr, spawner, "away", False)
        orchestrator = running.world.orchestrator
        claims = orchestrator.claims
        ids = {"ticket": claims.queue().id, "nobody": "oldoldold"}
        if state != "not adopted":
            claimed = await claims.claim()
            ids |= {"claimed": claimed.id, "ready": running.world.servers(Phase.READY)[0].id}
        if state == "empty":
            for _ in range(2):
                running.world.pool.claim()
        if state == "proxy down":
            running.world.proxy.failure = ProxyError("away")
            orchestrator.health.report("proxy", "away")
            stack.callback(setattr, running.world.proxy, "failure", None)
        if state == "barred":
            spawner.barred = lambda: "no firewall"  # type: ignore[method-assign]  # for this state
        if state == "closing":
            orchestrator.parts.stage.closing = True
        yield Served(running, ids)


STATES = ["serving", "not adopted", "closing", "barred", "empty", "proxy down"]


@pytest.mark.parametrize("state", STATES)
async def test_no_address_holds_the_loop(state: str, caplog: pytest.LogCaptureFixture) -> None:
    async with service(state) as served:
        with nobody_holds_the_loop() as dog:
            await ask_all(served, dog)
    assert "unexpected error" not in caplog.text


def hostile(path: bytes, text: bytes) -> Iterable[Request]:
    """Return requests that have a text, as long as it may be, in all their places.

    Where many are read, it is in each; elsewhere in those that are read of all requests.
    """
    long, most = text * (LONG // len(text)), text * (MOST // len(text))
    in_line, one_line = escaped(long[: LONG // 3]), b" ".join(long.split())
    is_read = path.startswith(READING)
    for query in QUERIES if is_read else QUERIES[:1]:
        yield Request(b"GET", b"%s?%s%s" % (path, query, in_line))
    yield Request(b"GET", b"%s/%s" % (path, in_line))
    for name in HEADERS if is_read else HEADERS[:1]:
        yield Request(b"POST" if b"spawn" in path else b"GET", path, [(name, one_line)])
    for name in COOKIES if is_read else ():
        yield Request(b"GET", path, [(b"Cookie", b"%s=%s" % (name, one_line))])
    for field in FIELDS if is_read else FIELDS[:1]:
        yield Request(b"POST", path, [(b"Content-Type", FORM)], b"%s=%s" % (field, most))
    for kind in (FORM, b"multipart/form-data; boundary=b", b"application/json")[: 3 * is_read]:
        yield Request(b"POST", path, [(b"Content-Type", kind)], most)


def escaped(text: bytes) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in text)


@pytest.mark.parametrize("name", TEXTS)
async def test_no_text_holds_the_loop(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with service("empty") as served:
        with nobody_holds_the_loop() as dog:
            for port, application in served.ports():
                for path in sorted(served.paths(application, only="nobody")):
                    requests = list(hostile(path.encode(), TEXTS[name]))
                    for at in range(0, len(requests), TOGETHER):
                        together = requests[at : at + TOGETHER]
                        await asyncio.gather(*(ask(port, request) for request in together))
                        dog.check()
    assert "unexpected error" not in caplog.text


async def test_no_body_in_tiny_chunks_holds_the_loop() -> None:
    headers = [(b"Content-Type", FORM), (b"Transfer-Encoding", b"chunked")]
    tiny = Request(b"POST", b"/spawn", headers, b"1\r\na\r\n" * LARGEST_BODY + b"0\r\n\r\n")
    async with service("empty") as served:
        with nobody_holds_the_loop() as dog:
            for port, _ in served.ports():
                await exchange(port, tiny)
                dog.check()


async def test_no_answer_in_tiny_chunks_holds_the_loop() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    client, said = Client(), head + b"1\r\n \r\n" * LISTING
    with sending(said) as url, nobody_holds_the_loop(), pytest.raises(UnreachableError):
        await client.fetch(url, timeout=3.0, most=LISTING - 1)
    client.close()


@contextmanager
def sending(said: bytes) -> Iterator[str]:
    """Answer one request with what is `said`, from a thread, as fast as it is taken."""

    def answer() -> None:
        with suppress(OSError), listening.accept()[0] as connection:
            connection.recv(65_536)
            connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        sender = threading.Thread(target=answer)
        sender.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    sender.join()


async def test_the_watchdog_frees_a_loop_that_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "FROZEN", 0.3)

    dog = watchdog.Watchdog(asyncio.get_running_loop())
    dog.start()
    frozen = asyncio.create_task(never_waits_at_all())
    with pytest.raises(watchdog.HeldError):
        await frozen
    dog.stop()
    assert "never_waits_at_all" in dog.held[0]


async def never_waits_at_all() -> None:
    while True:
        await without_a_wait()


async def without_a_wait() -> None:
    pass
