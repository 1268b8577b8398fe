"""A notebook server that means ill once it is told to: `hostile_server.py PORT IP BASE_URL`.

Until then it is honest: it has a status, no kernel, and two files. `GET turn?seed=N` makes it
hostile: from then on each answer is one of `TRICKS` at random, but for `api`, which the pool asks.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

TOKEN = os.environ.get("JUPYTER_TOKEN", "")
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
HUGE = 16 * 1024 * 1024
SLOWEST = 60.0  # seconds of one trick, at most
FILES = {"notes.txt": b"the work of an hour", "data.bin": bytes(200_000)}

Trick = Callable[[asyncio.StreamWriter, random.Random], Awaitable[None]]


def whole(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def json_of(value: object) -> bytes:
    return whole(json.dumps(value).encode())


def now() -> str:
    return datetime.now(UTC).isoformat()


def entry(kind: str, name: str, changed: str = "") -> dict[str, object]:
    size = len(FILES.get(name, b""))
    changed = changed or now()
    return {"type": kind, "name": name, "path": name, "last_modified": changed, "size": size}


def listing(*entries: object) -> bytes:
    return json_of({"type": "directory", "content": list(entries)})


def many(value: object, count: int) -> bytes:
    """Return a list of one thing over and over, as short as it can be written."""
    one = json.dumps(value, ensure_ascii=False).encode()
    return whole(b'{"content":[' + b",".join([one] * count) + b"]}")


STARTED = now()
SAYINGS = (
    b"",
    OK + b"X-Pad: " + b"x" * 200_000 + b"\r\n\r\n",
    OK + b"X: y\r\n" * 20_000 + b"\r\n",
    OK + b"Content-Length: 9999999999999\r\n\r\n{}",
    OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200_000,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    (b"HTTP/1.1 102 Processing\r\n" + b"a:\r\n" * 3900 + b"\r\n") * 12,
    OK + b"a:\r\n" * 15_800 + b"\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + b"\x81\x7f" * 100,
    b"SSH-2.0-OpenSSH_9.2\r\n",
    whole(b"", "302 Found\r\nLocation: http://127.0.0.1:1/"),
    whole(b"", "500 Oh"),
    whole(b"", "999 Odd"),
    whole(b"<html>", kind="text/html"),
    whole(b"[" * 60_000),
    whole(b'{"last_activity": "' + b"9" * 60_000 + b'"}'),
    whole(b'{"last_activity": 1e400}'),
    whole(b'{"last_activity": "\\ud800"}'),
    whole(b"\xff\xfe{}"),
    json_of({"last_activity": "9999-12-31T23:59:59+00:00", "started": "0001-01-01T00:00:00Z"}),
    json_of({"last_activity": "2026-01-01T00:00:00Z"}),
    json_of([{"execution_state": "busy"}, None, 7]),
    listing(*(entry("directory", f"d{n}") for n in range(60))),
    listing({"type": "directory", "name": "\udce9", "path": "\udce9"}),
    listing({"type": "directory", "name": "..", "path": "../../.."}),
    listing({"type": "file", "name": "a/../../b", "size": -1}, {"name": 7}, "x", None),
    listing(entry("file", "x" * 40_000), entry("file", "con"), entry("file", "a:b?c*")),
    OK + b"a:\r\n" * 4_000 + b"Content-Length: 2\r\n\r\n[]",
    whole(b"{}", "401 Unauthorized"),
    whole(b"{}", "404 Not Found"),
    whole(b"{}", "429 Too Many Requests"),
    whole(b"{}", "503 Service Unavailable"),
    whole(b" " * 20_000_000, kind="text/html"),
    json_of(None),
    json_of([None]),
    json_of([{}]),
    json_of([{"execution_state": None}]),
    json_of([{"execution_state": "idle", "last_activity": "10000-01-01T00:00:00Z"}]),
    json_of({"last_use": "soon"}),
    listing(entry("file", "x", "10000-01-01T00:00:00Z"), {"type": "file"}, {"type": "directory"}),
    listing(entry("directory", "\xe9" * 300_000)),
    listing(*(entry("directory", f"{n}") for n in range(20_000))),
    listing(*({"type": "directory", "name": "\U0001f600" * 250} for _ in range(1_000))),
    many({"name": "\x81" * 226, "size": 10**10}, 7_800),
    many({"name": "/" + "\x81" * 240}, 7_500),
    many([[[[[[]]]]]], 200_000),
    many({}, 300_000),
)


async def say(writer: asyncio.StreamWriter, chance: random.Random) -> None:
    writer.write(chance.choice(SAYINGS))


async def pour(writer: asyncio.StreamWriter, chance: random.Random) -> None:
    writer.write(OK + f"Content-Length: {HUGE}\r\n\r\n".encode())
    for _ in range(HUGE // 65_536):
        writer.write(b" " * 65_536)
        await writer.drain()


async def drip(writer: asyncio.StreamWriter, chance: random.Random) -> None:
    for byte in chance.choice((OK + b"\r\n", whole(b" " * 1000), listing(entry("file", "x")))):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def hang(writer: asyncio.StreamWriter, chance: random.Random) -> None:
    await asyncio.sleep(SLOWEST)


TRICKS: tuple[Trick, ...] = (say, say, say, pour, drip, hang)


class Server:
    """Its state: honest until it is told."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.chance: random.Random | None = None

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SLOWEST):
                request, _, head = (await reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")
                await self._answer(request.split(" ")[1].removeprefix(self.base_url), head, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError):
            pass
        writer.close()

    async def _answer(self, target: str, head: str, writer: asyncio.StreamWriter) -> None:
        path, _, query = target.partition("?")
        if path == "api":
            writer.write(json_of({"version": "hostile"}))
        elif f"token {TOKEN}" not in head and f"token={TOKEN}" not in query:
            writer.write(whole(b"{}", "403 Forbidden"))
        elif path == "turn":
            self.chance = random.Random(query)  # noqa: S311 - no secret
            writer.write(json_of({}))
        elif self.chance is not None:
            await self.chance.choice(TRICKS)(writer, self.chance)
        else:
            writer.write(honest(path))


def honest(path: str) -> bytes:
    if path == "api/status":
        return json_of({"last_activity": now(), "started": now()})
    if path in ("api/kernels", "api/terminals"):
        return json_of([])
    if path == "api/contents/":
        return listing(*(entry("file", name, STARTED) for name in FILES))
    if path.removeprefix("files/") in FILES:
        return whole(FILES[path.removeprefix("files/")], kind="application/octet-stream")
    if path == "lab":
        return whole(b"<title>a page</title>", kind="text/html")
    return whole(b"{}", "404 Not Found")


async def main(port: str, ip: str, base_url: str) -> None:
    """Serve until it is ended."""
    listening = await asyncio.start_server(Server(base_url).answer, ip, int(port), limit=2**20)
    async with listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
