"""Read an answer over HTTP piece by piece, however large it is, with a deadline for each piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders, HTTPInputError, parse_response_start_line

from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import LARGEST_HEAD, short_enough

MOST_LINES = 200  # of a head
PIECE = 65_536  # bytes; no more than about three times as many are in memory
_FAILURES = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError)


class Pieces:
    """The body of one answer.

    Attributes:
        status: HTTP status of the answer.
        length: Bytes of the body; None if the server does not say.
    """

    def __init__(
        self, reader: asyncio.StreamReader, status: int, length: int | None, patience: float
    ) -> None:
        self.status, self.length = status, length
        self._reader, self._left, self._patience = reader, length, patience

    async def read(self) -> bytes:
        """Return the next piece; empty at the end.

        Raises:
            UnreachableError: It did not come in time, or the body broke off.
        """
        if self._left == 0:
            return b""
        wanted = PIECE if self._left is None else min(PIECE, self._left)
        try:
            async with asyncio.timeout(self._patience):
                piece = await self._reader.read(wanted)
        except OSError as error:  # a timeout is one
            raise UnreachableError(str(error) or "no answer in time") from error
        if self._left is not None:
            if not piece:
                raise UnreachableError("the answer broke off")
            self._left -= len(piece)
        return piece


@asynccontextmanager
async def opened(url: str, headers: Mapping[str, str], *, patience: float) -> AsyncIterator[Pieces]:
    """Ask for `url`, an address that begins with `http://`, and yield its answer.

    It is asked in HTTP/1.0: the body comes as it is, and the connection ends with it.

    Args:
        url: Where to ask; percent-encoded.
        headers: Sent as they are.
        patience: Seconds for the connection, for the head, and for each piece.

    Raises:
        UnreachableError: There was no answer that can be read. The message has no query.
    """
    parts = urlsplit(short_enough(url))
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"GET {path or '/'} HTTP/1.0", f"Host: {parts.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer: asyncio.StreamWriter | None = None
    try:
        try:
            async with asyncio.timeout(patience):
                reader, writer = await asyncio.open_connection(
                    parts.hostname, parts.port or 80, limit=PIECE
                )
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
                await writer.drain()
            async with asyncio.timeout(patience):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, length = _understood(head)
        except (*_FAILURES, HTTPInputError) as error:
            what = str(error) or "no answer in time"
            raise UnreachableError(f"{url.partition('?')[0]}: {what}") from error
        yield Pieces(reader, status, length, patience)
    finally:
        if writer is not None:
            writer.transport.abort()  # nobody waits for what is left of a large body


def _understood(head: str) -> tuple[int, int | None]:
    if len(head) > LARGEST_HEAD or head.count("\n") > MOST_LINES:
        raise ValueError("the head of the answer is too large")
    first, _, rest = head.partition("\r\n")
    status = parse_response_start_line(first).code
    headers = HTTPHeaders.parse(rest)
    if headers.get("Transfer-Encoding", "identity") != "identity":
        raise ValueError("an answer in HTTP/1.0 cannot be chunked")
    length = headers.get("Content-Length")
    if length is not None and not (length.isascii() and length.isdecimal()):
        raise ValueError("the length of the answer is no number")
    return status, None if length is None else int(length)
