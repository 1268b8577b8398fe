"""What comes to nothing, or has ended, costs the real proxy no file and no memory."""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from pathlib import Path

import pytest

from tests.support.real_proxy import HOME, UPGRADE, World, saying, world
from tests.support.world import wait_until

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=60)]

MANY = 30
SOME = 5  # files that the proxy opens and closes for itself
FEW_FILES = 200
HURRY = """
const { setTimeout } = globalThis;
const hurry = (after) => (after < 10_000 ? after : 100);
globalThis.setTimeout = (call, after, ...words) => setTimeout(call, hurry(after), ...words);
const { Socket } = require("node:net");
const { setTimeout: silence } = Socket.prototype;
Socket.prototype.setTimeout = function (after, call) {
  return silence.call(this, hurry(after), call);
};
"""


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take everything, and never answer nor leave."""
    while await reader.read(2**16):
        pass
    await asyncio.Event().wait()
    del writer


async def switching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Agree to switch, and never leave."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{UPGRADE}\r\nhello".encode())
    await silent(reader, writer)


async def leaving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Agree to switch, and leave."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{UPGRADE}\r\nhello".encode())
    writer.close()


class Waiting:
    """Answers nobody who asks to switch, and counts them."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"websocket" not in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            self.asked += 1
        await silent(reader, writer)

    def has(self, number: int) -> bool:
        return self.asked == number


REFUSING = saying("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n", "no")


async def ask(served: World, path: str, until: bytes) -> None:
    """Ask many times to switch, see what is said, and leave."""
    for _ in range(MANY):
        reader, writer = await served.connect()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n".encode())
        await reader.readuntil(until)
        writer.close()


@pytest.fixture
def _in_a_hurry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the proxy's long times pass at once."""
    script = tmp_path / "hurry.cjs"
    script.write_text(HURRY)
    monkeypatch.setenv("NODE_OPTIONS", f"--require={script}")


@pytest.mark.parametrize("path", ["/%ff", "//[", "/user/%zz/", "/user/abc/%c3"])
async def test_an_address_without_sense_is_refused_and_costs_no_file(path: str) -> None:
    async with world(silent) as served:
        before = served.files
        await ask(served, path, b"HTTP/1.1 400 Bad Request\r\n")
        await wait_until(lambda: served.files < before + SOME, "its files are closed")
        reader = await served.send(path, UPGRADE)
        assert (await reader.read()).startswith(b"HTTP/1.1 400"), "and it hangs up by itself"


async def test_a_host_without_a_route_is_refused_and_costs_no_file() -> None:
    """The proxy itself says so, and leaves the connection to nobody."""
    async with world(silent) as served:
        before = served.files
        await served.forget_default()
        await ask(served, "/nothing", b"HTTP/1.1 404")
        await wait_until(lambda: served.files < before + SOME, "its files are closed")


async def test_who_leaves_before_the_server_has_answered_costs_no_file() -> None:
    notebook = Waiting()
    async with world(notebook) as served:
        before = served.files
        writers = []
        for _ in range(MANY):
            _, writer = await served.connect()
            writer.write(f"GET {HOME}kernel HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n".encode())
            writers.append(writer)
        await wait_until(lambda: notebook.asked == MANY)
        for writer in writers:
            writer.close()
        await wait_until(lambda: served.files < before + SOME, "its files are closed")


@pytest.mark.usefixtures("_in_a_hurry")
async def test_a_server_that_never_answers_is_waited_for_in_bounds() -> None:
    async with world(silent) as served:
        before = served.files
        reader = await served.send(f"{HOME}kernel", UPGRADE)
        assert await reader.read() == b""
        await wait_until(lambda: served.files <= before + 1, "its files are closed")


@pytest.mark.usefixtures("_in_a_hurry")
async def test_a_server_that_does_not_leave_costs_no_file_after_its_visitor() -> None:
    async with world(switching) as served:
        before = served.files
        await ask(served, f"{HOME}kernel", b"hello")
        await wait_until(lambda: served.files < before + SOME, "its files are closed")


@pytest.mark.usefixtures("_in_a_hurry")
@pytest.mark.parametrize("switched", [True, False], ids=["afterwards", "before"])
async def test_who_breaks_off_costs_no_file_nor_a_place(
    switched: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """With a reset, as a machine does that was switched off, or a program that was killed."""
    waiting = Waiting()
    async with world(switching if switched else waiting, files=FEW_FILES) as served:
        before = served.files
        for number in range(1, FEW_FILES):
            reader, writer = await served.connect()
            writer.write(f"GET {HOME}kernel HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n".encode())
            if switched:
                await reader.readuntil(b"hello")
            else:
                await wait_until(partial(waiting.has, number))
            reset(writer)
        await wait_until(lambda: served.files < before + SOME, "its files are closed")
        assert (await served.head("/"))[0] == "HTTP/1.1 200 OK"
    assert "Uncaught" not in caplog.text


def reset(writer: asyncio.StreamWriter) -> None:
    """Leave without a word of goodbye."""
    made = writer.get_extra_info("socket")
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.usefixtures("_in_a_hurry")
async def test_a_visitor_who_does_not_leave_costs_no_file_after_the_server() -> None:
    async with world(leaving) as served:
        before = served.files
        for _ in range(MANY):
            reader = await served.send(f"{HOME}kernel", UPGRADE)
            await reader.readuntil(b"hello")
        await wait_until(lambda: served.files < before + SOME, "its files are closed")


async def test_a_server_that_switches_unasked_is_an_error_and_costs_no_file() -> None:
    async with world(switching) as served:
        before = served.files
        for _ in range(MANY):
            assert (await served.head(HOME))[0] == "HTTP/1.1 503 Service Unavailable"
        served.leave()
        await wait_until(lambda: served.files < before + SOME, "its files are closed")


async def test_a_server_that_answers_otherwise_is_heard_and_costs_no_file() -> None:
    async with world(REFUSING) as served:
        before = served.files
        await ask(served, f"{HOME}kernel", b"403 Forbidden")
        reader = await served.send(f"{HOME}kernel", UPGRADE)
        assert (await reader.read()).endswith(b"\r\n\r\nno")
        await wait_until(lambda: served.files < before + SOME, "its files are closed")


@pytest.mark.usefixtures("_in_a_hurry")
async def test_what_a_server_keeps_open_costs_no_file_after_its_visitors() -> None:
    asked = asyncio.Barrier(MANY)

    async def keeping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asked.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await silent(reader, writer)

    async with world(keeping) as served:
        before = served.files
        heads = await asyncio.gather(*(served.head(HOME) for _ in range(MANY)))
        assert {head[0] for head in heads} == {"HTTP/1.1 200 OK"}
        served.leave()
        await wait_until(lambda: served.files < before + SOME, "its files are closed")


async def test_those_who_wait_to_switch_make_place_and_those_who_have_switched_stay() -> None:
    ours = Waiting()
    async with world(switching, ours, files=FEW_FILES) as served:
        websocket = await served.send(f"{HOME}kernel", UPGRADE)
        await websocket.readuntil(b"hello")
        for number in range(1, FEW_FILES):
            await served.send("/spawn", UPGRADE)
            await wait_until(partial(ours.has, number))
        assert (await served.head("/"))[0] == "HTTP/1.1 200 OK", "others are served"
        assert not websocket.at_eof()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer plainly to whatever is asked, and send as long as somebody reads."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while SENT[0] < ENOUGH:
        writer.write(PIECE)
        await writer.drain()
        SENT[0] += len(PIECE)
    writer.close()


PIECE = b"x" * 2**16
ENOUGH = 100 * 2**20  # bytes
MOST = 20 * 2**20  # in buffers of kernel and proxy
SENT = [0]


@pytest.mark.parametrize("asked", ["Connection: close\r\n", UPGRADE], ids=["plainly", "to switch"])
async def test_an_answer_that_is_not_read_waits_at_the_server(asked: str) -> None:
    SENT[0] = 0
    async with world(endless) as served:
        before = served.memory
        reader, writer = await served.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads
        writer.write(f"GET {HOME}big HTTP/1.1\r\nHost: x\r\n{asked}\r\n".encode())
        await until_it_rests()
        assert SENT[0] < MOST
        assert served.memory < before + 2 * MOST
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        while await reader.read(2**20):
            pass
        assert SENT[0] == ENOUGH, "it goes on with whom reads"


async def until_it_rests() -> None:
    """Return when the server has sent something, and no more of it goes out."""
    loop = asyncio.get_running_loop()
    seen, since = 0, loop.time()
    async with asyncio.timeout(30):
        while seen == 0 or loop.time() < since + 1:
            if SENT[0] != seen:
                seen, since = SENT[0], loop.time()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_plain_answer_that_breaks_off_breaks_off_for_who_asked_to_switch(
    version: str,
) -> None:
    half = saying("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n", "half")
    async with world(half) as served:
        reader, writer = await served.connect()
        writer.write(f"GET {HOME} HTTP/{version}\r\nHost: x\r\n{UPGRADE}\r\n".encode())
        await reader.readuntil(b"half")
        if version == "1.0":
            with pytest.raises(ConnectionResetError):
                await reader.read()
        else:
            assert await reader.read() == b""
