"""What the real proxy says at its edge: to uploads, to other protocols, and on idle connections."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.real_proxy import HOME, Serve, saying, world
from tests.support.world import wait_until

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=60)]

# Looks at a body come at once, and so does the end of Node's own patience with one.
HURRY = """
const { setTimeout } = globalThis;
const hurry = (after) => (after === 5_000 ? 50 : after);
globalThis.setTimeout = (call, after, ...words) => setTimeout(call, hurry(after), ...words);
const { Server } = require("node:http");
const { listen } = Server.prototype;
Server.prototype.listen = function (...words) {
  if (this.requestTimeout) this.requestTimeout = this.headersTimeout = 1_000;
  this.connectionsCheckingInterval = 100;
  return listen.apply(this, words);
};
"""
H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
ITSELF = "/_chp_healthz"  # what the proxy answers by itself
LONG = 1_000_000
PIECE = b"x" * 2_000
QUICKLY = b"x" * 50_000
FEW_FILES = 200
UNANSWERED = 8  # requests that a connection may have


@pytest.fixture
def _in_a_hurry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a minute without bytes pass in less than a second."""
    script = tmp_path / "hurry.cjs"
    script.write_text(HURRY)
    monkeypatch.setenv("NODE_OPTIONS", f"--require={script}")


def telling(heads: list[str]) -> Serve:
    """Return a server that keeps the heads of what it is asked, and says yes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin1").lower())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")

    return serve


async def taking_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a body of `LONG` bytes, and say yes."""
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(LONG)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
    await writer.drain()


async def taking_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Leave a body where it is."""
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.Event().wait()
    del writer


def upload(length: int = LONG) -> bytes:
    """Return the head of a request with a body."""
    return f"PUT {HOME}a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.usefixtures("_in_a_hurry")
async def test_an_upload_goes_on_as_long_as_bytes_come() -> None:
    """Through far more looks than one that stands still is given."""
    async with world(taking_all) as served:
        reader, writer = await served.connect()
        writer.write(upload())
        for _ in range(LONG // len(PIECE)):
            writer.write(PIECE)
            await asyncio.sleep(0.01)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.usefixtures("_in_a_hurry")
@pytest.mark.parametrize("start", [b"", b"some"])
async def test_an_upload_that_stands_still_is_ended_and_told(start: bytes) -> None:
    async with world(taking_all) as served:
        reader, writer = await served.connect()
        writer.write(upload() + start)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.usefixtures("_in_a_hurry")
async def test_an_upload_that_drips_is_ended() -> None:
    async with world(taking_all) as served:
        reader, writer = await served.connect()
        writer.write(upload())
        answer = asyncio.ensure_future(reader.read(100))
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=0.1)
        assert answer.result().startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.usefixtures("_in_a_hurry")
async def test_an_upload_that_its_server_does_not_take_is_ended_too() -> None:
    async with world(taking_nothing) as served:
        reader, writer = await served.connect()
        writer.write(upload(100 * LONG) + b"x" * 20 * LONG)
        assert (await reader.read(100)).startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")


async def test_an_idle_connection_is_kept_for_longer_than_those_before_us_keep_it() -> None:
    """That is two minutes at most, unless somebody says otherwise."""
    async with world(telling([])) as served:
        assert "Keep-Alive: timeout=150" in await served.head(ITSELF)


async def test_the_operator_says_how_long_an_idle_connection_is_kept() -> None:
    async with world(telling([]), options="--keep-alive-timeout=620000") as served:
        assert "Keep-Alive: timeout=620" in await served.head(ITSELF)


@pytest.mark.usefixtures("_in_a_hurry")
async def test_an_upload_that_comes_quickly_makes_place_after_those_that_stand_still() -> None:
    async with world(taking_all, files=FEW_FILES) as served:
        reader, writer = await served.connect()
        writer.write(upload())
        sent = 0
        while sent < LONG:
            writer.write(QUICKLY)
            await writer.drain()
            sent += len(QUICKLY)
            for _ in range(FEW_FILES // 10):
                await served.connect()
            await asyncio.sleep(0.1)  # the looks see it
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


async def test_who_was_answered_before_their_body_was_whole_makes_place_for_others() -> None:
    """What is said on such a connection next is awaited as on any other."""

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
            await reader.readexactly(4)

    async with world(hasty, files=FEW_FILES) as served:
        for _ in range(FEW_FILES):
            reader, writer = await served.connect()
            writer.write(upload(4) + b"s")
            assert await reader.readuntil(b"yes")
            writer.write(b"ome")
            await writer.drain()
        assert (await served.head("/"))[0] == "HTTP/1.1 200 OK"


def silent(came: list[asyncio.StreamWriter]) -> Serve:
    """Return a server that keeps who comes to it, and says nothing until they leave."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)
        await reader.read()

    return serve


def requests(path: str, count: int) -> bytes:
    """Return so many of them, for one connection."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * count


@pytest.mark.parametrize("path", [HOME, "/%"], ids=["of a server", "without sense"])
async def test_who_waits_for_no_answer_gets_few_connections_to_servers(path: str) -> None:
    """They end with the connection that they were for."""
    came: list[asyncio.StreamWriter] = []
    async with world(silent(came), silent(came), files=FEW_FILES) as served:
        await served.head(ITSELF)
        before = served.files
        reader, writer = await served.connect()
        writer.write(requests(path, 3 * FEW_FILES))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        assert (await served.head(ITSELF))[0] == "HTTP/1.1 200 OK"
        await wait_until(lambda: served.files <= before + 1)
    assert len(came) <= UNANSWERED


async def test_a_few_requests_at_once_are_answered_in_their_order() -> None:
    heads: list[str] = []
    async with world(telling(heads)) as served:
        reader, writer = await served.connect()
        for _ in range(3):
            writer.write(requests(HOME, UNANSWERED))
            for _ in range(UNANSWERED):
                assert (await reader.readuntil(b"yes")).startswith(b"HTTP/1.1 200 OK")
    assert len(heads) == 3 * UNANSWERED


@pytest.mark.parametrize("at_once", [False, True])
async def test_who_waits_for_no_answer_makes_place_for_others(at_once: bool) -> None:
    """Many such connections, each with as many requests as it may have, take not all files."""
    came: list[asyncio.StreamWriter] = []
    async with world(silent(came), files=FEW_FILES) as served:
        writers = []
        for number in range(FEW_FILES // 4):
            _, writer = await served.connect()
            writers.append(writer)
            if not at_once:
                writer.write(requests(HOME, UNANSWERED))
                await wait_until(lambda: writer.is_closing() or len(came) > number)  # noqa: B023
        if at_once:
            for writer in writers:
                writer.write(requests(HOME, UNANSWERED))
        for _ in range(UNANSWERED):
            assert (await served.head("/"))[0] == "HTTP/1.1 200 OK"
        assert served.files < FEW_FILES


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", H2C),
        ("GET", "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n"),
        ("GET", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket, h2c\r\n"),
        ("POST", f"{H2C}Content-Length: 0\r\n"),
        ("POST", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"),
    ],
)
async def test_who_asks_for_another_protocol_is_answered_in_this_one(
    method: str, headers: str
) -> None:
    heads: list[str] = []
    async with world(telling(heads)) as served:
        assert (await served.head(HOME, headers, method))[0] == "HTTP/1.1 200 OK"
    assert "upgrade" not in heads[0]
    assert "http2-settings" not in heads[0]


async def test_the_connection_serves_on_after_a_protocol_that_nobody_speaks() -> None:
    heads: list[str] = []
    async with world(telling(heads)) as served:
        reader, writer = await served.connect()
        for number in range(3):
            writer.write(f"GET {HOME}{number} HTTP/1.1\r\nHost: x\r\n{H2C}\r\n".encode())
            assert (await reader.readuntil(b"yes")).startswith(b"HTTP/1.1 200 OK")
    assert len(heads) == 3


async def test_nobody_is_tunnelled_and_everybody_is_told() -> None:
    async with world(saying("HTTP/1.1 200 OK\r\n")) as served:
        reader = await served.send("a.example:443", method="CONNECT")
        assert (await reader.read()).startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
