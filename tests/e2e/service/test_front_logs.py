"""Whatever fails before, in or behind nginx: no log of it has a token."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.running_service import free_ports, until_true
from tests.e2e.service.front import front

pytestmark = pytest.mark.gen_test(timeout=60)

SECRET = "SECRET1b2c3d"
PAGE = f"/user/x/lab?token={SECRET}"
LOG = "tmpnb.log"
LONG = "x" * 40_000  # bytes, more than nginx or tmpnb take of a head
AT_ONCE = ("absolute_redirect off;", "lingering_close off;")  # lines come when answers go
HASTE = ("proxy_read_timeout 1h;", "proxy_read_timeout 1s;")
BODY_HASTE = ("client_body_timeout 20s;", "client_body_timeout 1s;")
ONE_ALONE = ("limit_conn tmpnb_address 256;", "limit_conn tmpnb_address 1;")
SILENT = None
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nx"


@asynccontextmanager
async def behind(answer: bytes | None) -> AsyncIterator[str]:
    """Listen as the proxy would: say `answer` to all and close, or wait for ever."""
    ends: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        if answer is not SILENT:
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in ends:
            writer.transport.abort()


class Visitor:
    """Asks one thing after the other, with a token in address and `Referer`."""

    def __init__(self, port: int, directory: Path) -> None:
        """Ask nginx at `port`, which writes into `directory`."""
        self.port, self.directory = port, directory
        self._ends: list[asyncio.StreamWriter] = []

    async def begin(self, line: str, *headers: str) -> asyncio.StreamReader:
        """Ask, and do not wait for an answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        self._ends.append(writer)
        lines = line, "Host: x.example", f"Referer: https://x.example{PAGE}", *headers
        writer.write("\r\n".join((*lines, "", "")).encode())
        return reader

    async def ask(self, line: str, *headers: str) -> None:
        """Ask, and wait for the beginning of an answer, or an end."""
        reader = await self.begin(line, *headers)
        with suppress(ConnectionError):
            await reader.read(1)

    def leave(self) -> None:
        for writer in self._ends:
            writer.transport.abort()

    async def was_told(self, status: int) -> None:
        """Wait for a status in the log, and see that there is no token in any."""
        log = self.directory / LOG
        await until_true(lambda: f'" {status} ' in log.read_text(), f"{status} is in the log")
        self.leave()
        found = [
            file.name
            for file in self.directory.rglob("*")
            if file.is_file() and SECRET in file.read_text(errors="replace")
        ]
        assert found == []


@asynccontextmanager
async def visitor(url: str, directory: Path, *changes: tuple[str, str]) -> AsyncIterator[Visitor]:
    async with front(url, directory, AT_ONCE, *changes) as port:
        made = Visitor(port, directory)
        try:
            yield made
        finally:
            made.leave()


@pytest.mark.parametrize(
    ("answer", "status", "headers"),
    [
        (SILENT, 504, ()),
        (b"", 502, ()),
        (b"HTTP/1.1 200 OK\r\nX: " + LONG.encode(), 502, ()),
        (b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", 502, ()),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbroken", 200, ()),
        (UPGRADED, 101, ("Upgrade: websocket", "Connection: Upgrade")),
    ],
    ids=["never", "closed", "too large", "not http", "broken off", "websocket"],
)
async def test_a_failure_behind_nginx_is_logged_without_the_token(
    answer: bytes | None, status: int, headers: tuple[str, ...], tmp_path: Path
) -> None:
    async with behind(answer) as url, visitor(url, tmp_path, HASTE) as someone:
        await someone.ask(f"GET {PAGE} HTTP/1.1", "X-More: y", *headers)
        someone.leave()
        await someone.was_told(status)


@pytest.mark.parametrize("place", ["port", "socket"])
async def test_a_proxy_that_is_down_is_logged_without_the_token(place: str, tmp_path: Path) -> None:
    """It is an error where nobody listens, and more than one where nobody could."""
    url = f"127.0.0.1:{free_ports(1)[0]}" if place == "port" else f"unix:{tmp_path}/none"
    async with visitor(url, tmp_path) as someone:
        await someone.ask(f"GET {PAGE} HTTP/1.1")
        await someone.was_told(502)


@pytest.mark.parametrize(
    ("line", "header", "status"),
    [
        (f"PUT /x?token={SECRET} HTTP/1.1", "Content-Length: 300000", 413),
        (f"GET {PAGE}{LONG} HTTP/1.1", "X: y", 414),
        (f"GET {PAGE} HTTP/1.1", f"X: {LONG}", 400),
        (f"GET {PAGE} HTTP/1.1", "Content-Length: x", 400),
        (f"GET /%00{PAGE} HTTP/1.1", "X: y", 400),
        (f"GET /../..{PAGE} HTTP/1.1", "X: y", 400),
        (f"GET {PAGE} HTTP/9.1", "X: y", 505),
        (f"TRACE {PAGE} HTTP/1.1", "X: y", 405),
        (f"GET {PAGE} HTTP/1.1", "Transfer-Encoding: x", 501),
        (f"POST {PAGE} HTTP/1.1", "Transfer-Encoding: chunked\r\n\r\nnone", 400),
        (f"POST {PAGE} HTTP/1.1", "Content-Length: 9\r\n\r\nhalf", 408),
        (f"POST {PAGE} HTTP/1.1", "Content-Length: 99999\r\n\r\nhalf", 408),
    ],
)
async def test_a_bad_request_is_logged_without_the_token(
    line: str, header: str, status: int, tmp_path: Path
) -> None:
    async with behind(FINE) as url, visitor(url, tmp_path, BODY_HASTE) as someone:
        await someone.ask(line, header)
        await someone.was_told(status)


async def test_one_who_takes_too_much_is_logged_without_the_token(tmp_path: Path) -> None:
    async with behind(FINE) as url, visitor(url, tmp_path) as someone:
        for _ in range(80):
            await someone.ask(f"GET /spawn?token={SECRET} HTTP/1.1")
        await someone.was_told(429)


async def test_one_with_too_much_under_way_is_logged_without_the_token(tmp_path: Path) -> None:
    async with behind(SILENT) as url, visitor(url, tmp_path, ONE_ALONE) as someone:
        for _ in range(3):
            await someone.begin(f"GET {PAGE} HTTP/1.1")
        await someone.was_told(429)


async def test_one_who_hangs_up_is_logged_without_the_token(tmp_path: Path) -> None:
    async with behind(SILENT) as url, visitor(url, tmp_path, ONE_ALONE) as someone:
        readers = [await someone.begin(f"GET {PAGE} HTTP/1.1") for _ in range(2)]
        answers = [asyncio.ensure_future(reader.read(1)) for reader in readers]
        await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)  # 429: one is under way
        someone.leave()
        await someone.was_told(499)


async def test_a_disk_that_takes_no_body_is_logged_without_the_token(tmp_path: Path) -> None:
    async with behind(FINE) as url, visitor(url, tmp_path) as someone:
        shutil.rmtree(tmp_path / "bodies")
        await someone.ask(f"PUT {PAGE} HTTP/1.1", f"Content-Length: 40000\r\n\r\n{LONG}")
        await someone.was_told(500)


async def test_a_line_of_the_log_has_a_length(tmp_path: Path) -> None:
    """What visitors send is logged up to a bound, as disks have one."""
    async with behind(FINE) as url, visitor(url, tmp_path) as someone:
        await someone.ask(f"GET /{'y' * 7000} HTTP/1.1")
        await someone.ask(f"{'Z' * 7000} / HTTP/1.1")
        await someone.ask("GET / HTTP/1.1", f"X: {LONG}")
        await someone.was_told(400)
        written = (tmp_path / LOG).read_text().splitlines()
        assert max(map(len, written)) < 500
        assert f"GET x.example/{'y' * 100}" in written[0]
