"""The listeners: who sends slowly or too much is hung up on, and others are served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from harness import wait_until
from raw_http import Request, exchange, parsed
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tmpnb import listen

pytestmark = pytest.mark.gen_test(timeout=20)

HALF_A_HEADER = b"GET / HTTP/1.1\r\nHost: site.exa"
HALF_A_BODY = b"POST / HTTP/1.1\r\nHost: site.example\r\nContent-Length: 10\r\n\r\n12345"
SHORT = 0.1  # seconds


class Hello(RequestHandler):
    def get(self) -> None:
        self.finish("hello")

    post = get


@asynccontextmanager
async def serving(open_files: int = 1024) -> AsyncIterator[int]:
    sock, port = bind_unused_port()
    server = listen.server(Application([("/", Hello)]), open_files)
    server.add_socket(sock)
    try:
        yield port
    finally:
        server.stop()
        await server.close_all_connections()


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


async def test_connections_are_half_of_the_open_files_at_most() -> None:
    async with serving(open_files=6) as port:
        hanging = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for _, writer in hanging:
            writer.write(HALF_A_HEADER)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"", "one too many"
        writer.close()
        hanging[0][1].close()
        served = asyncio.create_task(_until_served(port))
        await wait_until(served.done, "a place is free again")
        for _, writer in hanging:
            writer.close()


async def test_there_is_a_bound_however_many_files_may_be_open() -> None:
    assert listen.server(Application(), 10**9).most == listen.MOST_CONNECTIONS


async def _until_served(port: int) -> None:
    while await status(port) != 200:
        pass
