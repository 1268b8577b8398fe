"""HTTP with as little work as can be, so that the one who asks does not slow down who answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.common.command import BenchmarkError

TIMEOUT = 60.0  # seconds for one answer


@dataclass(slots=True)
class Wire:
    """One connection that is kept."""

    netloc: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, url: str) -> Wire:
        """Connect to where a URL leads.

        Raises:
            OSError: It did not come about.
        """
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        return cls(parts.netloc, reader, writer)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return status and body.

        Raises:
            BenchmarkError: There was no answer, or none that can be read.
        """
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.netloc}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines += ["Content-Length: 0"] * (method == "POST")
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._answer()
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            raise BenchmarkError(f"no answer: {type(error).__name__}") from error

    def close(self) -> None:
        """Close it."""
        self.writer.close()

    async def _answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        status, fields = int(head.split(b" ", 2)[1]), head.lower()
        if b"transfer-encoding: chunked" not in fields:
            length = fields.partition(b"content-length:")[2].partition(b"\r\n")[0]
            return status, await self.reader.readexactly(int(length or b"0"))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return status, body
