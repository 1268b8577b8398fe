"""HTTP over a bare socket: requests that no client library would send, and what comes back."""

from __future__ import annotations

import asyncio
import http.client
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

DEADLINE = 20.0  # seconds for an exchange that takes a thousandth

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """A request, byte for byte."""

    method: bytes
    target: bytes
    headers: Sequence[Pair] = ()
    body: bytes = b""

    @property
    def raw(self) -> bytes:
        """The bytes that are sent; headers that are not given are those of a decent client."""
        given = {name.lower() for name, _ in self.headers}
        length = str(len(self.body)).encode()
        decent: list[Pair] = [(b"Host", b"site.example"), (b"Connection", b"close")]
        if self.body and b"transfer-encoding" not in given:
            decent.append((b"Content-Length", length))
        lines = [b"%s %s HTTP/1.1" % (self.method, self.target)]
        lines += [b"%s: %s" % p for p in decent if p[0].lower() not in given]
        lines += [b"%s: %s" % pair for pair in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body

    @property
    def is_unsure(self) -> bool:
        """Whether the other side may take what is sent for the begin of something longer."""
        framing = (b"transfer-encoding", b"content-length")
        return any(name.lower() in framing for name, _ in self.headers)

    @property
    def path(self) -> str:
        """The path of the target."""
        return self.target.partition(b"?")[0].decode("latin-1")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, taken apart."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every header of a name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        """The header of a name; empty for none. There may not be two."""
        found = self.all(name)
        assert len(found) < 2, f"{name} twice: {found}"
        return found[0] if found else ""

    @property
    def kind(self) -> str:
        """The media type without its parameters."""
        return self.one("Content-Type").partition(";")[0]


class _Received(io.BytesIO):
    def makefile(self, _mode: str) -> io.BytesIO:
        return self


async def exchange(port: int, request: Request) -> bytes:
    """Send a request, and return all that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(DEADLINE):
            try:
                writer.write(request.raw)
                await writer.drain()
                if request.is_unsure:
                    writer.write_eof()
                return await reader.read()
            except ConnectionError:
                return b""  # it closed before it had read all
    finally:
        writer.close()


def parsed(received: bytes, method: bytes = b"GET") -> Answer | None:
    """Return the last answer in what was received; None for nothing."""
    while received.startswith(b"HTTP/1.1 100 "):
        received = received.partition(b"\r\n\r\n")[2]
    if not received:
        return None
    source = cast("http.client.socket.socket", _Received(received))  # type: ignore[attr-defined]
    answer = http.client.HTTPResponse(source, method=method.decode("latin-1"))
    answer.begin()
    return Answer(answer.status, answer.getheaders(), answer.read())


def query(pairs: Iterable[Pair]) -> bytes:
    """Join names and values as they are."""
    return b"&".join(b"%s=%s" % pair for pair in pairs)
