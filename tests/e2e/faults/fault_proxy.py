"""A small HTTP proxy of the tests in front of a real API, which fails as it is told to.

It speaks plain HTTP/1.1 over a unix socket or over TCP, on both sides. Requests pass
unchanged unless a fault is in force whose pattern matches them:

    async with FaultProxy.running(Path("/var/run/docker.sock"), tmp / "docker.sock") as engine:
        with engine.fault(RESET):                        # every request
            ...
        with engine.fault(HOLD, "POST .*/start"):        # these pass when the block ends
            await engine.until_met("POST .*/start")
"""

from __future__ import annotations

import asyncio
import enum
import re
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CHUNK = 64 * 1024  # bytes
LONGEST_HEAD = 256 * 1024  # bytes
DEADLINE = 60.0  # seconds until an awaited request must have come
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: no good-bye, TCP sends RST

Address = Path | tuple[str, int]  # a unix socket, or host and port


class Way(enum.Enum):
    """How a request fails."""

    STALL = enum.auto()  # accepted and never answered
    HOLD = enum.auto()  # passed on, once the fault is over
    RESET = enum.auto()  # the connection breaks before the request is read
    REFUSE = enum.auto()  # nobody listens; meets all requests, whatever the pattern
    LOSE_ANSWER = enum.auto()  # carried out, and the connection breaks instead of an answer
    SAY = enum.auto()  # answered with the fault's own bytes; then the connection ends


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail, and for `SAY` what is said."""

    way: Way
    bytes_said: bytes = b""


STALL, HOLD, RESET = Fault(Way.STALL), Fault(Way.HOLD), Fault(Way.RESET)
REFUSE, LOSE_ANSWER = Fault(Way.REFUSE), Fault(Way.LOSE_ANSWER)
GARBAGE = Fault(Way.SAY, b"\x00\xff this is no HTTP \r\n\r\n\x00")


def answer(
    status: int, body: bytes = b'{"message": "the fault proxy says so"}', length: int | None = None
) -> Fault:
    """Return the fault of an answer with this status; it breaks off if `length` promises more."""
    promised = len(body) if length is None else length
    lines = [
        f"HTTP/1.1 {status} X",
        "Content-Type: application/json",
        f"Content-Length: {promised}",
    ]
    head = "\r\n".join([*lines, "Connection: close", "", ""])
    return Fault(Way.SAY, head.encode() + body)


HALF_JSON = answer(200, b'[{"Id": "0123456789abcdef", "Na', length=60)


@dataclass(eq=False, slots=True)
class _Rule:
    fault: Fault
    pattern: re.Pattern[str]
    over: asyncio.Event


class FaultProxy:
    """Listens at `at`, passes everything to `upstream`, except what a fault meets.

    Attributes:
        met: "METHOD /path?query" of every request that came, in order.
    """

    def __init__(self, upstream: Address, at: Address) -> None:
        self.met: list[str] = []
        self._upstream, self._at = upstream, at
        self._rules: list[_Rule] = []
        self._listening: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._visits: dict[asyncio.Task[None], socket.socket] = {}
        self._new = asyncio.Event()  # set anew at each request

    @classmethod
    @asynccontextmanager
    async def running(cls, upstream: Address, at: Address) -> AsyncIterator[Self]:
        """Listen within the block; all connections end with it."""
        proxy = cls(upstream, at)
        proxy.listen()
        try:
            yield proxy
        finally:
            await proxy.close()

    @contextmanager
    def fault(self, fault: Fault, pattern: str = "") -> Iterator[None]:
        """Within the block, let the requests fail in whose "METHOD /path" `pattern` is found.

        Of several faults the latest counts. A fault is also met by connections that
        were open before.
        """
        rule = _Rule(fault, re.compile(pattern), asyncio.Event())
        self._rules.append(rule)
        if fault.way is Way.REFUSE:
            self._refuse()
            self.cut()
        try:
            yield
        finally:
            self._rules.remove(rule)
            rule.over.set()
            if self._listening is None:
                self.listen()

    def cut(self) -> None:
        """Break every connection that is open now."""
        for visit in tuple(self._visits):
            visit.cancel()

    async def until_met(self, pattern: str, times: int = 1) -> None:
        """Return once so many requests have come since the start that match `pattern`."""
        async with asyncio.timeout(DEADLINE):
            while sum(bool(re.search(pattern, request)) for request in self.met) < times:
                self._new.clear()
                await self._new.wait()

    def listen(self) -> None:
        """Open the address; called within a running loop."""
        family = socket.AF_UNIX if isinstance(self._at, Path) else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setblocking(False)
        if isinstance(self._at, Path):
            self._at.unlink(missing_ok=True)
            listening.bind(str(self._at))
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(self._at)
        listening.listen(256)
        self._listening = listening
        self._accepting = asyncio.create_task(self._accept(listening))

    async def close(self) -> None:
        """Close the address and every connection."""
        accepting = self._accepting
        self._refuse()
        self.cut()
        ending = {*self._visits, *([accepting] if accepting else [])}
        if ending:
            await asyncio.wait(ending)
        if isinstance(self._at, Path):
            self._at.unlink(missing_ok=True)

    def _refuse(self) -> None:
        """Listen no more; the socket's file stays, as that of a killed server does."""
        if self._listening is not None and self._accepting is not None:
            self._accepting.cancel()
            _close(self._listening)
            self._listening = None

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listening)
            visit = asyncio.create_task(self._serve(client))
            self._visits[visit] = client
            visit.add_done_callback(lambda done: _close(self._visits.pop(done)))

    async def _serve(self, client: socket.socket) -> None:
        """Serve one connection until a side ends it."""
        client.setblocking(False)
        upstream = _Upstream(self._upstream, client)
        try:
            with suppress(OSError, _Ended):
                while await self._one(client, upstream):
                    pass
        except asyncio.CancelledError:
            _reset(client)
            raise
        finally:
            upstream.close()

    async def _one(self, client: socket.socket, upstream: _Upstream) -> bool:
        """Serve one request; return whether another may follow."""
        head = await _read_head(client)
        method, path = head.split(b" ", 2)[:2]
        request = f"{method.decode()} {path.decode()}"
        rule = next((r for r in reversed(self._rules) if r.pattern.search(request)), None)
        self.met.append(request)
        self._new.set()
        way = rule.fault.way if rule else None
        if rule and way is Way.HOLD:
            await rule.over.wait()
        elif rule and way is Way.SAY:
            await _read_rest(client, head)
            await asyncio.get_running_loop().sock_sendall(client, rule.fault.bytes_said)
            return False
        elif way is Way.STALL:
            await _read_rest(client, head)
            while await asyncio.get_running_loop().sock_recv(client, CHUNK):
                pass
            return False
        elif way in (Way.RESET, Way.REFUSE):
            _reset(client)
            return False
        await upstream.send(head + await _read_rest(client, head), lose=way is Way.LOSE_ANSWER)
        return True


class _Ended(Exception):  # noqa: N818 - no error: every connection ends
    """The client sends no more."""


class _Upstream:
    """The other half of a connection, opened with the first request that passes."""

    def __init__(self, address: Address, client: socket.socket) -> None:
        self._address, self._client = address, client
        self._socket: socket.socket | None = None
        self._pump: asyncio.Task[None] | None = None
        self._lose = False

    async def send(self, request: bytes, *, lose: bool) -> None:
        loop = asyncio.get_running_loop()
        self._lose = lose
        if self._socket is None:
            unix = isinstance(self._address, Path)
            self._socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
            self._socket.setblocking(False)
            where = str(self._address) if unix else self._address
            await loop.sock_connect(self._socket, where)
            self._pump = asyncio.create_task(self._answers(self._socket))
        await loop.sock_sendall(self._socket, request)

    async def _answers(self, upstream: socket.socket) -> None:
        """Pass on what comes back; a client waits for one answer before it asks again."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while (data := await loop.sock_recv(upstream, CHUNK)) and not self._lose:
                await loop.sock_sendall(self._client, data)
        with suppress(OSError):
            if self._lose:
                _reset(self._client)
            self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        if self._socket is not None:
            _close(self._socket)


async def _read_head(client: socket.socket) -> bytes:
    """Read a request's head but for its last byte, which `_read_rest` reads.

    What is left unread makes a close into a reset, on unix sockets as well.
    """
    loop, head = asyncio.get_running_loop(), b""
    while len(head) < LONGEST_HEAD:
        await _readable(loop, client)
        seen = client.recv(CHUNK, socket.MSG_PEEK)
        if not seen:
            raise _Ended
        end = (head + seen).find(b"\r\n\r\n")
        wanted = len(seen) if end < 0 else end + 3 - len(head)
        head += client.recv(wanted)
        if end >= 0:
            return head
    raise _Ended


async def _readable(loop: asyncio.AbstractEventLoop, client: socket.socket) -> None:
    ready = asyncio.Event()
    loop.add_reader(client, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(client)


async def _read_rest(client: socket.socket, head: bytes) -> bytes:
    """Read the last byte of the head, and the body."""
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    left = 1 + (int(found[1]) if found else 0)
    rest = b""
    while left > len(rest):
        data = await asyncio.get_running_loop().sock_recv(client, left - len(rest))
        if not data:
            raise _Ended
        rest += data
    return rest


def _reset(client: socket.socket) -> None:
    """Let the close that follows break the connection."""
    with suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)


def _close(sock: socket.socket) -> None:
    """Close it; the loop must not watch a number that is soon another socket's."""
    loop = asyncio.get_running_loop()
    loop.remove_reader(sock)
    loop.remove_writer(sock)
    sock.close()
