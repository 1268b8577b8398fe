"""Answers are read as far as was agreed, and what is refused says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpserver import TCPServer
from tornado.testing import bind_unused_port

from tests.support.watchdog import nobody_holds_the_loop
from tmpnb.errors import AnswerTooLargeError, UnreachableError
from tmpnb.system.http import bounded_answers
from tmpnb.system.http.bounded_answers import Allowance
from tmpnb.system.http.client import LARGEST_HEAD, LONGEST_URL, Client
from tmpnb.visitors import http_stream

pytestmark = pytest.mark.gen_test(timeout=20)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LIMIT = 4096

Form = Callable[[int], bytes]


def sized(size: int) -> bytes:
    return OK + f"Content-Length: {size}\r\n\r\n".encode() + b"x" * size


def chunked(size: int, chunks: int = 1) -> bytes:
    one = f"{size // chunks:x}\r\n".encode() + b"x" * (size // chunks) + b"\r\n"
    return CHUNKED + one * chunks + b"0\r\n\r\n"


def until_close(size: int) -> bytes:
    return OK + b"\r\n" + b"x" * size


class Saying(TCPServer):
    """Answers each request with the same words; hangs afterwards, or closes."""

    def __init__(self, words: bytes, *, hangs: bool) -> None:
        super().__init__()
        self.words, self.hangs = words, hangs
        self.asked: list[bytes] = []
        self.over = asyncio.Event()

    async def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        with suppress(StreamClosedError):
            self.asked.append(await stream.read_until(b"\r\n\r\n"))
            await stream.write(self.words)
            if self.hangs:
                await self.over.wait()
        stream.close()


@asynccontextmanager
async def answering(words: bytes, *, hangs: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    server = Saying(words, hangs=hangs)
    sock, port = bind_unused_port()
    server.add_socket(sock)
    try:
        yield f"http://127.0.0.1:{port}/", server.asked
    finally:
        server.over.set()
        server.stop()


@pytest.mark.parametrize("form", [sized, chunked, until_close])
async def test_an_answer_that_is_too_large_is_refused_for_its_size(
    client: Client, form: Form
) -> None:
    async with answering(form(LIMIT)) as (url, _):
        assert (await client.fetch(url, timeout=5, most=LIMIT)).body == b"x" * LIMIT
    async with answering(form(LIMIT + 1)) as (url, _):
        with pytest.raises(AnswerTooLargeError, match=f"the answer is larger than {LIMIT} bytes$"):
            await client.fetch(url, timeout=5, most=LIMIT)


async def test_a_size_that_is_too_large_is_refused_before_anything_of_it_comes(
    client: Client,
) -> None:
    head = OK + b"Content-Length: 999999999999\r\n\r\n"
    async with answering(head, hangs=True) as (url, _):
        with pytest.raises(AnswerTooLargeError, match="the answer is larger than"):
            await client.fetch(url, timeout=15)


async def test_a_size_of_what_is_not_sent_is_not_refused(client: Client) -> None:
    async with answering(OK + b"Content-Length: 999999\r\n\r\n") as (url, _):
        assert (await client.fetch(url, timeout=5, method="HEAD")).code == 200
    async with answering(b"HTTP/1.1 304 No\r\nContent-Length: 999999\r\n\r\n") as (url, _):
        assert (await client.fetch(url, timeout=5)).code == 304


async def test_an_answer_may_come_in_so_many_chunks(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_answers, "PIECES", 10)
    async with answering(chunked(6, chunks=6)) as (url, _):
        assert (await client.fetch(url, timeout=5, most=LIMIT)).body == b"x" * 6
    async with answering(chunked(100, chunks=100)) as (url, _):
        with pytest.raises(AnswerTooLargeError, match=r"comes in too many pieces$"):
            await client.fetch(url, timeout=5, most=LIMIT)


@pytest.mark.parametrize("form", [sized, chunked])
async def test_several_answers_share_what_they_may_be_together(client: Client, form: Form) -> None:
    together = Allowance(2 * LIMIT)
    async with answering(form(LIMIT)) as (url, _):
        for _ in range(2):
            await client.fetch(url, timeout=5, most=LIMIT, within=together)
        with pytest.raises(AnswerTooLargeError, match=f"larger than {2 * LIMIT} bytes$"):
            await client.fetch(url, timeout=5, most=LIMIT, within=together)
        assert (await client.fetch(url, timeout=5, most=LIMIT)).code == 200


async def test_lines_of_heads_count_as_pieces(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_answers, "PIECES", 10)
    together = Allowance(0)
    async with answering(OK + b"a: 1\r\n" * 3 + b"Content-Length: 0\r\n\r\n") as (url, _):
        for _ in range(2):
            assert (await client.fetch(url, timeout=5, within=together)).code == 200
        with pytest.raises(AnswerTooLargeError, match="too many pieces"):
            await client.fetch(url, timeout=5, within=together)


BODIES = {
    "none": sized(0),
    "small": sized(2),
    "large": sized(20_000_000),
    "chunked": chunked(1_000_000),
    "tiny chunks": chunked(100_000, chunks=100_000),
    "both lengths": CHUNKED[:-2] + b"Content-Length: 3\r\n\r\nabc",
    "after interim answers": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2 + sized(100_000),
    "not all of it": OK + b"Content-Length: 100\r\n\r\nabc",
    "endless": until_close(300_000),
}


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("words", BODIES.values(), ids=BODIES.keys())
async def test_an_answer_is_there_with_its_head_if_nobody_wants_more(
    client: Client, caplog: pytest.LogCaptureFixture, words: bytes, *, hangs: bool
) -> None:
    async with answering(words, hangs=hangs) as (url, _):
        answer = await client.fetch(url, timeout=15, head_only=True)
    assert (answer.code, answer.body) == (200, b"")
    await asyncio.sleep(0)
    assert not [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize("head_only", [False, True])
async def test_an_answer_begins_after_a_few_heads(client: Client, *, head_only: bool) -> None:
    interim = b"HTTP/1.1 102 Processing\r\n" + b"a:\r\n" * 1900 + b"\r\n"
    for heads, begins in (
        (bounded_answers.MOST_INTERIM, True),
        (bounded_answers.MOST_INTERIM + 1, False),
    ):
        async with answering(interim * heads + sized(2)) as (url, _):
            if begins:
                answer = await client.fetch(url, timeout=5, head_only=head_only)
                assert answer.code == 200
            else:
                with pytest.raises(AnswerTooLargeError, match="never begins"):
                    await client.fetch(url, timeout=5, head_only=head_only)


async def test_no_more_heads_are_read_than_that(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though they have come already."""
    seen: list[int] = []
    count = bounded_answers._Exchange._count_interim

    def counted(exchange: bounded_answers._Exchange) -> None:
        seen.append(1)
        count(exchange)

    monkeypatch.setattr(bounded_answers._Exchange, "_count_interim", counted)
    async with answering(b"HTTP/1.1 102 Processing\r\n\r\n" * 500) as (url, _):
        with pytest.raises(UnreachableError):
            await client.fetch(url, timeout=5)
    assert len(seen) == bounded_answers.MOST_INTERIM + 1


@pytest.mark.parametrize(
    "words", [b"a:\r\n" * http_stream.MOST_LINES, b"a: " + b"x" * LARGEST_HEAD]
)
async def test_the_head_of_a_file_is_bounded(words: bytes) -> None:
    async with answering(OK + words + b"\r\n\r\n") as (url, _):
        with pytest.raises(UnreachableError, match="head of the answer is too large"):
            async with http_stream.opened(url, {}, patience=5):
                pass


async def test_a_head_is_bounded(client: Client) -> None:
    async with answering(OK + b"a:\r\n" * (LARGEST_HEAD // 4) + b"\r\n") as (url, _):
        with pytest.raises(UnreachableError):
            await client.fetch(url, timeout=5, head_only=True)


async def test_an_address_may_be_so_long(client: Client) -> None:
    async with answering(sized(0)) as (url, asked):
        longest = url + "x" * (LONGEST_URL - len(url))
        assert (await client.fetch(longest, timeout=5)).code == 200
        with pytest.raises(UnreachableError, match="characters is too long") as caught:
            await client.fetch(longest + "x", timeout=5)
        assert len(str(caught.value)) < 400
        with pytest.raises(UnreachableError, match="characters is too long"):
            async with http_stream.opened(longest + "x", {}, patience=5):
                pass
        assert len(asked) == 1


async def test_no_answer_in_tiny_chunks_is_read_for_long(client: Client) -> None:
    """It would take the loop's time until the deadline."""
    async with answering(CHUNKED + b"1\r\n \r\n" * 200_000, hangs=True) as (url, _):
        with nobody_holds_the_loop(), pytest.raises(AnswerTooLargeError, match="too many pieces"):
            await client.fetch(url, timeout=15)
