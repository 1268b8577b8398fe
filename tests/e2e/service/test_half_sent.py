"""Thousands of requests that are not ended, from one address: others are served meanwhile."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.web import RequestHandler
from tornado.websocket import websocket_connect

from tests.e2e import running_service as running
from tests.e2e.running_service import serving, until_true
from tests.e2e.service.front import Echo, application, front
from tmpnb.proxy.managed import SCRIPTS
from tmpnb.system import open_files
from tmpnb.system.http import listen

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=300)]

GREEDY, OTHER = "127.0.0.9", "127.0.0.3"
MANY = 4200  # connections, more than the orchestrator has
AT_ONCE = 100
ANSWER = 60.0  # seconds for one
ADDRESS = 256  # requests of one address that nginx lets through
ESTABLISHED = "01"  # in /proc/net/tcp
FEW_FILES = 300  # of a proxy that soon has no more
PATIENT = 29.0  # seconds that a listener waits which is a little slower to end what is half-sent

OPEN = {b"open": 1}
HALF_A_HEADER = b"POST /spawn HTTP/1.1\r\nHost: x"
HALF_A_BODY = b"POST /spawn HTTP/1.1\r\nHost: x.example\r\n%sContent-Length: 9\r\n\r\nfre"
HALF_A_SAVE = b"PUT /user/x/a HTTP/1.1\r\nHost: x.example\r\nContent-Length: 9\r\n\r\nhal"
BY_A_FRONT = b"X-Forwarded-For: 203.0.113.9\r\n"


class Crowd:
    """Connections of one address, each with something sent on it."""

    def __init__(self, port: int) -> None:
        """Begin with none; `port` is where visitors come in."""
        self.port = port
        self.sockets: list[socket.socket] = []
        self._told: dict[socket.socket, bytes] = {}

    async def grow(self, count: int, sent: bytes) -> None:
        await asyncio.gather(*(self._one(sent) for _ in range(count)))

    async def _one(self, sent: bytes) -> None:
        made = socket.socket()
        self.sockets.append(made)
        made.setblocking(False)
        made.bind((GREEDY, 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(made, ("127.0.0.1", self.port))
        await loop.sock_sendall(made, sent)

    def ends(self) -> Counter[bytes]:
        """Return how often each status has come back; nothing where it only has been closed."""
        for one in self.sockets:
            if one not in self._told:
                with suppress(BlockingIOError):
                    self._told[one] = _status(one)
        return Counter(self._told.get(one, b"open") for one in self.sockets)


def _status(one: socket.socket) -> bytes:
    """Return the status of what has come; nothing if it has been closed without an answer."""
    try:
        return one.recv(65536)[9:12]
    except ConnectionError:
        return b""


@asynccontextmanager
async def crowd(port: int) -> AsyncIterator[Crowd]:
    open_files.raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 3 * MANY
    made = Crowd(port)
    try:
        yield made
    finally:
        for one in made.sockets:
            one.close()


async def other_is_told(port: int, path: str = "/info", method: str = "GET") -> int:
    """Return the status of an answer to somebody else."""
    async with asyncio.timeout(ANSWER):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(OTHER, 0))
        head = f"{method} {path} HTTP/1.1\r\nHost: x.example\r\nContent-Length: 0\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return int(answer.split()[1]) if answer else 0


async def answers_while_it_grows(greedy: Crowd, count: int, sent: bytes) -> Counter[bytes]:
    """Let a crowd grow, see that somebody else is served, and return what became of the crowd."""
    for _ in range(0, count, AT_ONCE):
        await greedy.grow(AT_ONCE, sent)
        assert await other_is_told(greedy.port) == 200, greedy.ends()
    assert await other_is_told(greedy.port, "/api/spawn", "POST") == 200
    ends = greedy.ends()
    print(f"of {count} half-sent requests of one address: {dict(ends)}")
    return ends


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(b"", listen.MOST_CONNECTIONS), (BY_A_FRONT, listen.MOST_UNFINISHED)],
    ids=["by nobody in particular", "by one client"],
)
async def test_4200_half_sent_bodies_leave_the_service_to_others(sent: bytes, kept: int) -> None:
    """This machine has no bound of its own, a client has one."""
    async with serving("--spawner=fake") as service:
        await service.until_ready(10)
        async with crowd(service.visitors) as greedy:
            ends = await answers_while_it_grows(greedy, MANY, HALF_A_BODY % sent)
            assert set(ends) <= {b"open", b"408"}
            assert 0 < ends[b"open"] <= kept
            assert (await service.stats())["claimed"] == 1, "nobody else has taken anything"


@pytest.fixture
def _few_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the proxy open few files."""
    program = tmp_path / "proxy"
    program.write_text(f'#!/bin/sh\nulimit -n {FEW_FILES}\nexec {running.chp()} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(running, "chp", lambda: str(program))


@pytest.mark.usefixtures("_few_files")
async def test_half_sent_headers_do_not_take_the_last_file_of_the_proxy() -> None:
    async with serving("--spawner=fake") as service:
        await service.until_ready(10)
        async with crowd(service.visitors) as greedy:
            ends = await answers_while_it_grows(greedy, 2 * FEW_FILES, HALF_A_HEADER)
            assert set(ends) == {b"open", b""}
            assert ends[b"open"] < FEW_FILES / 2


class Slow(RequestHandler):
    go: asyncio.Event

    async def get(self) -> None:
        await self.go.wait()
        await self.finish("hello")


@pytest.mark.usefixtures("_few_files")
async def test_websockets_and_answers_under_way_outlive_a_flood() -> None:
    Slow.go = asyncio.Event()
    required = {"NODE_OPTIONS": f"--require={SCRIPTS[-1]}"}
    async with application(("/slow", Slow), ("/echo", Echo)) as port, AsyncExitStack() as stack:
        proxy = running.RunningProxy(port, required)
        await proxy.start()
        stack.push_async_callback(proxy.kill)
        echo = await websocket_connect(f"ws://127.0.0.1:{proxy.port}/echo")
        url = f"http://127.0.0.1:{proxy.port}/slow"
        slow = asyncio.ensure_future(AsyncHTTPClient().fetch(url, request_timeout=ANSWER))
        async with crowd(proxy.port) as greedy:
            for _ in range(0, 2 * FEW_FILES, AT_ONCE):
                await greedy.grow(AT_ONCE, HALF_A_HEADER)
                await echo.write_message("still there?")
                assert await echo.read_message() == "still there?"
            Slow.go.set()
            assert (await slow).body == b"hello"
            await until_true(lambda: greedy.ends()[b""] > FEW_FILES, "the flood makes place")
        echo.close()


@pytest.mark.long
async def test_what_does_not_end_is_ended_in_time_by_the_proxy_and_by_a_front(
    tmp_path: Path,
) -> None:
    """Sooner than by one who waits a little longer, which began to wait before them."""
    async with (
        application(patience=PATIENT) as patient,
        serving("--spawner=fake") as service,
        front(service.url, tmp_path) as port,
        crowd(patient) as others,
        crowd(service.visitors) as by_the_proxy,
        crowd(port) as headers,
        crowd(port) as bodies,
    ):
        await service.until_ready(10)
        await others.grow(1, HALF_A_HEADER)
        await by_the_proxy.grow(1, HALF_A_HEADER)
        await headers.grow(1, HALF_A_HEADER)
        await bodies.grow(1, HALF_A_BODY % b"")
        assert await end_of(by_the_proxy) == {b"408": 1}, "told to be too slow"
        for one in (headers, bodies):
            assert await end_of(one)
        assert others.ends() == OPEN, "it is the last"


async def end_of(one: Crowd) -> Counter[bytes]:
    """Return how a connection that was open has ended."""
    found = one.ends()

    def has_ended() -> bool:
        found.clear()
        found.update(one.ends())
        return found != OPEN

    await until_true(has_ended, "it ends")
    return found


@pytest.mark.parametrize(
    "sent", [HALF_A_HEADER, HALF_A_BODY % b"", HALF_A_SAVE], ids=["headers", "bodies", "saves"]
)
async def test_a_front_keeps_4200_half_sent_requests_to_itself(sent: bytes, tmp_path: Path) -> None:
    async with serving("--spawner=fake") as service, front(service.url, tmp_path) as port:
        await service.until_ready(10)
        async with crowd(port) as greedy:
            ends = await answers_while_it_grows(greedy, MANY, sent)
            if sent == HALF_A_HEADER:
                assert ends == {b"open": MANY}, "until they are too slow"
            elif sent == HALF_A_SAVE:
                told = {b"open": ADDRESS, b"429": MANY - ADDRESS}
                await until_true(lambda: greedy.ends() == told, "all but these are refused")
            else:
                await until_true(lambda: greedy.ends()[b"open"] <= ADDRESS, "the rest is refused")
                assert greedy.ends().keys() == {b"open", b"429"}
            assert connections(service.visitors) < AT_ONCE, "the proxy has nothing of them"


async def test_a_front_slows_down_who_takes_one_server_after_the_other(tmp_path: Path) -> None:
    async with serving("--spawner=fake") as service, front(service.url, tmp_path) as port:
        await service.until_ready(10)
        for path in ("/spawn", "/api/spawn"):
            told = Counter([await other_is_told(service.visitors, path) for _ in range(100)])
            assert 429 not in told, "by nobody but the front"
        told = Counter([await other_is_told(port, "/spawn") for _ in range(100)])
        assert 60 < 100 - told[429] < 90
        assert await other_is_told(port, "/api/spawn") == 429
        assert await other_is_told(port) == 200, "other pages are not slowed down"


def connections(port: int) -> int:
    """Return how many are open at a port of this machine."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [row.split() for row in rows]
    return sum(f[1].endswith(f":{port:04X}") and f[3] == ESTABLISHED for f in fields)
