"""The listeners: who sends slowly or too much is hung up on, and others are served."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.iostream import IOStream
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tests.support.raw_http import Request, exchange, parsed
from tests.support.world import wait_until
from tmpnb.system.http import listen
from tmpnb.system.http.bounded_server import TOO_SLOW, BoundedServer

pytestmark = pytest.mark.gen_test(timeout=20)

HALF_A_HEADER = b"GET / HTTP/1.1\r\nHost: site.exa"
HALF_A_BODY = b"POST / HTTP/1.1\r\nHost: site.example\r\nContent-Length: 10\r\n\r\n12345"
A_REQUEST = b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n"
SLOW_REQUEST = b"POST /slow HTTP/1.1\r\nHost: site.example\r\nContent-Length: 1\r\n\r\n1"
SHORT = 0.1  # seconds


class Hello(RequestHandler):
    def get(self) -> None:
        self.finish("hello")

    post = get


class Slow(RequestHandler):
    go: asyncio.Event

    async def post(self) -> None:
        await self.go.wait()
        await self.finish("hello")


class Served:
    """A server, and connections to it that are open until the end."""

    def __init__(self, server: BoundedServer, port: int) -> None:
        self.server, self.port = server, port
        self.writers: list[asyncio.StreamWriter] = []

    async def begin(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and send something."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(sent)
        return reader, writer

    async def awaited(self, count: int) -> None:
        await wait_until(lambda: len(self.server._unfinished) == count, f"{count} awaited")


@asynccontextmanager
async def running(open_files: int = 1024, **options: Any) -> AsyncIterator[Served]:
    sock, port = bind_unused_port()
    server = listen.server(Application([("/", Hello), ("/slow", Slow)]), open_files, **options)
    server.add_socket(sock)
    served = Served(server, port)
    try:
        yield served
    finally:
        for writer in served.writers:
            writer.close()
        server.stop()
        await server.close_all_connections()


@asynccontextmanager
async def serving(open_files: int = 1024) -> AsyncIterator[int]:
    async with running(open_files) as served:
        yield served.port


def by_header(_peer: str, forwarded: str) -> str | None:
    return forwarded or None


def body_of(client: bytes) -> bytes:
    """Return half a request of a client."""
    return HALF_A_BODY.replace(b"\r\n", b"\r\nX-Forwarded-For: %s\r\n" % client, 1)


async def status(port: int, request: Request | None = None) -> int:
    """Return the status of an answer; 0 for none."""
    request = request or Request(b"GET", b"/")
    answer = parsed(await exchange(port, request), request.method)
    return answer.status if answer else 0


@pytest.mark.parametrize(
    ("bound", "sent"), [("SLOWEST_HEADERS", HALF_A_HEADER), ("SLOWEST_BODY", HALF_A_BODY)]
)
async def test_a_request_that_does_not_end_in_time_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch, bound: str, sent: bytes
) -> None:
    monkeypatch.setattr(listen, bound, SHORT)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert await reader.read() == b"", "it hangs up without an answer"
        writer.close()
        assert await status(port) == 200


async def test_who_sends_a_byte_now_and_then_does_not_gain_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, "SLOWEST_HEADERS", SHORT)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.create_task(reader.read())
        writer.write(HALF_A_HEADER)
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait([ended], timeout=SHORT / 10)
        writer.close()


async def test_headers_and_bodies_have_a_largest_size() -> None:
    async with serving() as port:
        small, large = b"x" * (listen.LARGEST_HEADERS // 2), b"x" * listen.LARGEST_HEADERS
        assert await status(port, Request(b"GET", b"/", [(b"X-Word", small)])) == 200
        assert await status(port, Request(b"GET", b"/", [(b"X-Word", large)])) in (0, 400)
        assert await status(port, Request(b"POST", b"/", body=b"x" * listen.LARGEST_BODY)) == 200
        more = b"x" * (listen.LARGEST_BODY + 1)
        assert await status(port, Request(b"POST", b"/", body=more)) in (0, 400)


async def test_connections_are_half_of_the_open_files_at_most_and_the_oldest_goes() -> None:
    async with running(open_files=6) as site:
        first, second, third = [
            (await site.begin(sent))[0] for sent in (HALF_A_HEADER, HALF_A_BODY, b"")
        ]
        await site.awaited(3)
        for reader, last_words in ((first, b""), (second, TOO_SLOW), (third, b"")):
            assert await status(site.port) == 200, "the newcomer is served"
            assert await reader.read() == last_words
            await site.begin(HALF_A_HEADER)
            await site.awaited(3)


async def test_between_two_requests_a_connection_is_awaited_as_well() -> None:
    async with running(open_files=2) as site:
        idle, _ = await site.begin(A_REQUEST)
        assert (await idle.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        assert await status(site.port) == 200
        assert await idle.read() == b"", "without a word, as it has asked for nothing"


async def test_a_request_that_comes_just_when_its_connection_is_the_oldest_is_not_lost() -> None:
    async with running(open_files=4) as site:
        first, writer = await site.begin(A_REQUEST)
        await first.readuntil(b"hello")
        second, _ = await site.begin(b"")
        await site.awaited(2)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        writer.write(A_REQUEST)
        site.server.handle_stream(IOStream(ours), ("127.0.0.1", 1))  # before that is read
        assert await second.read() == b"", "the next one goes"
        assert (await first.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        theirs.close()


async def test_whoever_is_being_answered_stays_and_the_newcomer_goes() -> None:
    Slow.go = asyncio.Event()
    async with running(open_files=4) as site:
        asked = [(await site.begin(SLOW_REQUEST))[0] for _ in range(2)]
        await wait_until(lambda: len(site.server._awaited) == 2)
        await site.awaited(0)
        newcomer, _ = await site.begin(b"")
        assert await newcomer.read() == b"", "one too many"
        Slow.go.set()
        for reader in asked:
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")


async def test_one_client_has_few_unfinished_bodies_and_loses_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, "MOST_UNFINISHED", 2)
    async with running(whose=by_header) as site:
        greedy = [(await site.begin(body_of(b"greedy")))[0] for _ in range(2)]
        other, writer = await site.begin(body_of(b"other"))
        free = [(await site.begin(body_of(b"")))[0] for _ in range(3)]
        await site.awaited(6)
        for reader in greedy:
            await site.begin(body_of(b"greedy"))
            assert await reader.read() == TOO_SLOW
        assert await status(site.port, Request(b"GET", b"/", [(b"X-Forwarded-For", b"greedy")]))
        assert not any(reader.at_eof() for reader in free), "nobody tells whose they are"
        writer.write(b"67890")
        assert (await other.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        await site.awaited(6)  # the greedy one has two, and the other waits for its next


async def test_one_peer_has_few_connections_that_await_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, "MOST_UNFINISHED", 2)
    async with running(whose=lambda peer, _: peer) as site:
        first, _ = await site.begin(HALF_A_HEADER)
        second, _ = await site.begin(b"")
        await site.awaited(2)
        assert await status(site.port) == 200
        assert await first.read() == b""
        assert not second.at_eof()


async def test_there_is_a_bound_however_many_files_may_be_open() -> None:
    assert listen.server(Application(), 10**9).most == listen.MOST_CONNECTIONS
    assert listen.server(Application(), 10**9, most=7).most == 7
