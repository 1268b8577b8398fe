"""Answers that are read piece by piece: what is understood, and every way in which it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tmpnb.errors import UnreachableError
from tmpnb.visitors import http_stream

pytestmark = pytest.mark.gen_test(timeout=30)


@asynccontextmanager
async def answering(answer: bytes, *, hold: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve one fixed answer; yield its URL and the requests that came."""
    asked: list[bytes] = []
    done, serving = asyncio.Event(), set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if hold:
                await done.wait()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/a%20b?token=secret", asked
    finally:
        done.set()
        server.close()
        await asyncio.gather(*filter(None, serving), return_exceptions=True)


async def read(url: str, patience: float = 20.0) -> tuple[int, int | None, bytes]:
    async with http_stream.opened(url, {"X-A": "b"}, patience=patience) as answer:
        body = b""
        while piece := await answer.read():
            assert len(piece) <= http_stream.PIECE
            body += piece
        return answer.status, answer.length, body


async def test_body_with_a_length_comes_whole() -> None:
    body = bytes(300_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"
    async with answering(head + body) as (url, asked):
        assert await read(url) == (200, 300_000, body)
    assert asked[0].startswith(b"GET /a%20b?token=secret HTTP/1.0\r\nHost: 127.0.0.1:")
    assert b"\r\nX-A: b\r\n" in asked[0]


async def test_body_without_a_length_ends_with_the_connection() -> None:
    async with answering(b"HTTP/1.0 404 No\r\n\r\nnothing here") as (url, _):
        assert await read(url) == (404, None, b"nothing here")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"what is this\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_broken_answers_are_one_kind_of_error(answer: bytes) -> None:
    async with answering(answer) as (url, _):
        with pytest.raises(UnreachableError) as caught:
            await read(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour"])
async def test_silence_ends_at_the_deadline(answer: bytes) -> None:
    async with answering(answer, hold=True) as (url, _):
        with pytest.raises(UnreachableError, match="no answer in time"):
            await read(url, patience=0.05)


async def test_refused_connection_is_said() -> None:
    async with answering(b"") as (url, _):
        pass
    with pytest.raises(UnreachableError):
        await read(url)
