"""What nginx holds of one client, however its address is written."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tornado.web import RequestHandler

from tests.e2e.running_service import until_true
from tests.e2e.service.front import application, front, has_ipv6
from tests.support.requirements import missing
from tmpnb.access.client_address import Client
from tmpnb.system.net import networks

pytestmark = pytest.mark.gen_test(timeout=120)

MANY = 150  # addresses that are tried
BODIES = 8  # of one client at once
LARGE, SMALL = 99 * 1024**2, 99_999  # bytes of a body
PIECE = b"x" * 65536  # of a body that is not ended
PREFIX = 8  # bytes of a /64
NOBODY = ipaddress.IPv4Address("255.255.255.255")  # which nginx does not read
# Who is asked for by a header, so that the tests may come from anywhere.
BY_HEADER = ("absolute_redirect off;", "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;")
TELLS = ("location / {", "location = /client { return 200 $tmpnb_client; }\n location / {")


class Sink(RequestHandler):
    """Takes all."""

    def any(self, *_: str) -> None:
        self.write("taken")

    get = post = put = any


class Line:
    """One connection with nginx."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take both its ends."""
        self.reader, self.writer = reader, writer
        self.first: asyncio.Task[bytes] | None = None

    async def say(self, method: str, path: str, client: str, *headers: str) -> None:
        lines = f"{method} {path} HTTP/1.1", "Host: x.example", f"X-Real-IP: {client}", *headers
        self.writer.write("\r\n".join((*lines, "", "")).encode())
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of the next answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        [size] = [
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ]
        return int(head.split()[1]), await self.reader.readexactly(size)


class Lines:
    """Connections that are closed at the end."""

    def __init__(self, port: int) -> None:
        """Begin with none."""
        self.port, self._all = port, list[Line]()

    async def new(self) -> Line:
        made = Line(*await asyncio.open_connection("127.0.0.1", self.port))
        self._all.append(made)
        return made

    async def told(self, method: str, path: str, client: str, *headers: str) -> int:
        """Return the status of an answer to what has no body yet."""
        line = await self.new()
        await line.say(method, path, client, *headers)
        return (await line.answer())[0]

    async def half_sent(self, path: str, client: str, *headers: str) -> Line:
        """Begin a body and do not end it."""
        line = await self.new()
        await line.say("PUT", path, client, *headers)
        line.writer.write(b"10000\r\n" + PIECE if "chunked" in headers[0] else PIECE)
        return line

    def close(self) -> None:
        for line in self._all:
            line.writer.transport.abort()


@asynccontextmanager
async def lines(directory: Path) -> AsyncIterator[Lines]:
    """Run nginx that goes by a header, and connections with it."""
    async with (
        application((r"/.*", Sink)) as behind,
        front(f"http://127.0.0.1:{behind}", directory, BY_HEADER, TELLS) as port,
    ):
        made = Lines(port)
        try:
            yield made
        finally:
            made.close()


def held(directory: Path) -> list[int]:
    """Return the sizes of the bodies that nginx holds, in files that have no name any more."""
    nginx = (directory / "pid").read_text().strip()
    found = []
    for worker in Path(f"/proc/{nginx}/task/{nginx}/children").read_text().split():
        for file in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(file).startswith(f"{directory}/bodies/"):
                    found.append(file.stat().st_size)
    return found


@pytest.mark.parametrize(
    "header", [f"Content-Length: {LARGE}", "Content-Length: 100000", "Transfer-Encoding: chunked"]
)
async def test_one_client_leaves_few_half_sent_bodies(header: str, tmp_path: Path) -> None:
    async with lines(tmp_path) as made:
        for _ in range(BODIES):
            await made.half_sent("/user/x/a", "203.0.113.9", header)
        await until_true(lambda: len(held(tmp_path)) == BODIES, "they lie there")
        for _ in range(BODIES):
            assert await made.told("PUT", "/user/y/b", "203.0.113.9", header) == 429
        assert len(held(tmp_path)) == BODIES
        small = await made.half_sent("/user/x/a", "203.0.113.9", f"Content-Length: {len(PIECE)}")
        assert await small.answer() == (200, b"taken"), "what notebooks send all the time goes on"
        assert await made.told("GET", "/user/x/a", "203.0.113.9") == 200
        assert await made.told("POST", "/user/x/a", "203.0.113.9", "Content-Length: 0") == 200
        await made.half_sent("/user/x/a", "203.0.113.8", header)
        await until_true(lambda: len(held(tmp_path)) == BODIES + 1, "another's is taken")


@pytest.mark.parametrize("path", ["/", "/anything", "/spawn", "/api/spawn/x", "/users/x"])
async def test_only_notebooks_take_large_bodies(path: str, tmp_path: Path) -> None:
    async with lines(tmp_path) as made:
        for size, status in ((256 * 1024 + 1, 413), (LARGE, 413)):
            length = f"Content-Length: {size}"
            assert await made.told("PUT", path, "203.0.113.9", length) == status
        length = f"Content-Length: {100 * 1024**2 + 1}"
        assert await made.told("PUT", "/user/x/a", "203.0.113.9", length) == 413
        assert held(tmp_path) == []


def spellings(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> set[str]:
    """Return ways to write an address."""
    if address.version == 4:
        return {str(address)}
    groups = address.exploded.split(":")
    ways = {str(address), address.exploded, address.exploded.upper()}
    ways.add(":".join(f"{int(group, 16):x}" for group in groups))
    for begin in range(8):  # whatever run of zeros is left out
        for end in range(begin + 2, 9):
            if all(int(group, 16) == 0 for group in groups[begin:end]):
                ways.add(f"{':'.join(groups[:begin])}::{':'.join(groups[end:])}")
    tail = ipaddress.IPv4Address(address.packed[12:])
    if tail != NOBODY:
        ways.add(f"{':'.join(groups[:6])}:{tail}")
    return ways


def addresses() -> Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return addresses of both kinds, many with zeros and bytes that mean something in texts."""
    chance = random.Random(64)  # noqa: S311 - the same each time
    for text in ("::", "::1", "::ffff:0:0", "::fffe:1.2.3.4", "1::ffff:1.2.3.4", "2001:db8::1"):
        yield ipaddress.IPv6Address(text)
    for _ in range(MANY):
        some = bytes(
            chance.choice((0, 0, 10, 13, 36, 255, chance.randrange(256))) for _ in range(16)
        )
        yield ipaddress.IPv6Address(some)
        yield ipaddress.IPv6Address(some[:8] + chance.randbytes(8))
        yield ipaddress.IPv6Address(bytes(10) + b"\xff\xff" + some[:4])
        if some[:4] != NOBODY.packed:
            yield ipaddress.IPv4Address(some[:4])


async def test_who_is_one_to_the_service_is_one_to_nginx(tmp_path: Path) -> None:
    """By bytes, so that no spelling matters."""
    tried = 0
    by_nginx: dict[bytes, set[str]] = {}
    async with lines(tmp_path) as made:
        for address in addresses():
            line = await made.new()
            ways = sorted(spellings(address))
            for way in ways:
                await line.say("GET", "/client", way)
            keys = {await line.answer() for _ in ways}
            is_v6 = address.version == 6 and address.ipv4_mapped is None
            expected = address.packed[:PREFIX] if is_v6 else address.packed[-4:]
            assert keys == {(200, expected)}, address
            mine = Client(networks.without_zone(networks.zoned_address(str(address)))).key
            by_nginx.setdefault(expected, set()).add(mine)
            tried += len(ways)
            line.writer.close()
    assert tried > 4 * MANY
    assert all(len(mine) == 1 for mine in by_nginx.values())
    assert len(set.union(*by_nginx.values())) == len(by_nginx)


async def test_a_visitor_with_a_whole_network_is_one(tmp_path: Path) -> None:
    length = f"Content-Length: {LARGE}"
    async with lines(tmp_path) as made:
        for last in range(BODIES):
            await made.half_sent("/user/x/a", f"2001:db8:0:1:{last:x}::1", length)
        await until_true(lambda: len(held(tmp_path)) == BODIES, "they lie there")
        assert await made.told("PUT", "/user/x/a", "2001:db8:0:1::", length) == 429
        told = Counter(
            [await made.told("GET", "/spawn", f"2001:db8:0:1::{last:x}") for last in range(100)]
        )
        assert 60 < 100 - told[429] < 90
        assert await made.told("GET", "/spawn", "2001:db8:0:2::1") == 200
        await made.half_sent("/user/x/a", "2001:db8:0:2::1", length)
        await until_true(lambda: len(held(tmp_path)) == BODIES + 1, "a neighbour's is taken")


async def test_visitors_come_in_by_ipv6(tmp_path: Path) -> None:
    if not has_ipv6():
        missing("an IPv6 loopback")
    async with lines(tmp_path) as made:
        reader, writer = await asyncio.open_connection("::1", made.port, family=socket.AF_INET6)
        line = Line(reader, writer)
        await line.say("GET", "/client", "not asked")
        assert await line.answer() == (200, bytes(8))
        writer.close()
