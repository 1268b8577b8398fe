"""All files of a notebook server in one archive, read from it while the visitor takes it away.

Nothing of it is kept: a file goes piece by piece from the server into the archive and on
to the visitor. What cannot be read is named in a text file at the archive's end.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tmpnb import foreign_json, pieces
from tmpnb.errors import TooManyDownloadsError, UnreachableError
from tmpnb.http import Client
from tmpnb.server import NotebookServer
from tmpnb.timestamps import unix_time
from tmpnb.tokens import TokenMaker
from tmpnb.zip_stream import LARGEST, ZipStream, part_name

ROOT = "notebook-files"  # the folder in the archive that holds everything
NOTE = f"{ROOT}/LEFT OUT.txt"
AT_ONCE = 2  # archives of one server
PATIENCE = 30.0  # seconds for one answer of the server, or one piece of it
MOST_MISSES = 5  # times in a row that the server gave no answer: then it is left in peace
MOST_REMARKS = 1000  # lines of the text file
MOST_FILES = 10_000
MOST_FOLDERS = 2_000
LONGEST_LIST = 4_000_000  # bytes of what a server says of one folder
LARGEST_ANSWER = 8_000_000  # bytes of it that are read at all
DEEPEST = 30  # folders in each other; a link may lead to a folder above it

Send = Callable[[bytes], Awaitable[None]]


class Downloads:
    """Packs the files of servers, a few archives of each at a time."""

    def __init__(
        self,
        client: Client,
        tokens: TokenMaker,
        live: Callable[[str], NotebookServer | None],
    ) -> None:
        """Keep what is needed.

        Args:
            client: Asks servers for their lists of files.
            tokens: Opens them.
            live: Returns a server by its id while a visitor has it.
        """
        self._client, self._tokens, self._live = client, tokens, live
        self._running: Counter[str] = Counter()

    @contextmanager
    def place(self, server: NotebookServer) -> Iterator[None]:
        """Have one of the few places for archives of a server.

        Raises:
            TooManyDownloadsError: They are taken.
        """
        if self._running[server.id] >= AT_ONCE:
            raise TooManyDownloadsError("these files are being downloaded already")
        self._running[server.id] += 1
        try:
            yield
        finally:
            self._running[server.id] -= 1
            self._running += Counter()  # forgets who has none

    async def pack(self, server: NotebookServer, send: Send) -> None:
        """Send all files of a server as a zip file. Whatever `send` raises ends it."""
        url = f"{server.address}{server.base_url}"
        source = _Source(self._client, url, self._tokens.token_for(server.id))
        await _Packing(source, send, lambda: self._live(server.id) is server).run()


@dataclass(frozen=True, slots=True)
class _Source:
    """The contents API of one server. Its questions do not count as use of it."""

    client: Client
    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    async def entries(self, folder: str) -> list[dict[str, Any]] | str:
        """Return what is in a folder, or why that is not known.

        Raises:
            UnreachableError: The server does not answer.
        """
        query = "type=directory&content=1&no_track_activity=1"
        url = f"{self.url}api/contents/{_quoted(folder)}?{query}"
        answer = await self.client.fetch(
            url, timeout=PATIENCE, headers=self.headers, most=LARGEST_ANSWER
        )
        if answer.code != 200:
            return f"the server answered {answer.code}"
        if len(answer.body) > LONGEST_LIST:
            return f"more files in one folder than the {MOST_FILES} there may be in an archive"
        try:
            found = foreign_json.loads(answer.body)["content"]
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, list):
            return "the server's answer is no list of files"
        return [e for e in found if isinstance(e, dict) and isinstance(e.get("name"), str)]

    def file(self, path: str) -> AbstractAsyncContextManager[pieces.Pieces]:
        """Return a context with the contents of a file."""
        url = f"{self.url}files/{_quoted(path)}"
        return pieces.opened(url, self.headers, patience=PATIENCE)


class _Packing:
    """One archive in the making."""

    def __init__(self, source: _Source, send: Send, goes_on: Callable[[], bool]) -> None:
        self._source, self._send, self._goes_on = source, send, goes_on
        self._zip = ZipStream()
        self._folders: deque[tuple[str, str, int]] = deque()  # path, name in the archive, depth
        self._files = self._seen_folders = self._bytes = self._misses = 0
        self._remarks: list[str] = []
        self._why_over = ""  # before everything was packed
        self._unsaid = 0  # remarks there was no room for

    async def run(self) -> None:
        try:
            self._folders.append(("", self._zip.folder(ROOT), 0))
            while self._folders and not self._over():
                await self._pack_folder(*self._folders.popleft())
            await self._say_what_is_missing()
            await self._do(self._zip.close)
        finally:
            self._zip.close()

    def _over(self) -> bool:
        """Whether there is no use in going on, of which the last remark tells."""
        if not self._why_over and not self._goes_on():
            self._why_over = "the notebook ended meanwhile"
        elif not self._why_over and self._misses >= MOST_MISSES:
            self._why_over = "the notebook server answers no more"
        return bool(self._why_over)

    async def _pack_folder(self, path: str, name: str, depth: int) -> None:
        try:
            found = await self._source.entries(path)
            self._misses = 0
        except UnreachableError:
            found, self._misses = "no answer", self._misses + 1
        if isinstance(found, str):
            self._remark(f"{path}/", found)
            return
        for entry in found:
            if self._over():
                return
            inner = f"{path}/{entry['name']}".lstrip("/")
            inner_name = f"{name}/{part_name(entry['name'])}"
            if entry.get("type") == "directory":
                await self._see_folder(inner, inner_name, depth + 1, entry)
            else:
                await self._pack_file(inner, inner_name, entry)

    async def _see_folder(self, path: str, name: str, depth: int, entry: dict[str, Any]) -> None:
        if depth > DEEPEST:
            self._remark(f"{path}/", f"more than {DEEPEST} folders in each other")
        elif self._seen_folders >= MOST_FOLDERS:
            self._remark(f"{path}/", f"more than {MOST_FOLDERS} folders")
        else:
            self._seen_folders += 1
            name = self._zip.folder(name, unix_time(entry.get("last_modified")))
            self._folders.append((path, name, depth))

    async def _pack_file(self, path: str, name: str, entry: dict[str, Any]) -> None:
        size = entry.get("size")
        if self._files >= MOST_FILES:
            self._remark(path, f"more than {MOST_FILES} files")
            return
        if self._too_large(path, size if isinstance(size, int) else 0):
            return
        self._files += 1
        try:
            async with self._source.file(path) as content:
                self._misses = 0
                if content.status != 200:
                    self._remark(path, f"the server answered {content.status}")
                elif not self._too_large(path, content.length or 0):
                    self._zip.begin(name, unix_time(entry.get("last_modified")))
                    await self._copy(path, content)
        except UnreachableError:
            self._misses += 1
            self._remark(path, "no answer")

    async def _copy(self, path: str, content: pieces.Pieces) -> None:
        try:
            while piece := await content.read():
                if self._too_large(path, len(piece), "only its beginning is there: "):
                    break
                self._bytes += len(piece)
                await self._do(self._zip.write, piece)
        except UnreachableError:
            self._remark(path, "only its beginning is there: the server stopped sending it")
        finally:
            self._zip.end()

    def _too_large(self, path: str, size: int, how: str = "") -> bool:
        fits = self._bytes + size <= LARGEST
        if not fits:
            limit = f"{LARGEST // 10**6} MB"
            self._remark(path, f"{how}the archive would be larger than {limit}")
        return not fits

    async def _do(self, act: Callable[..., None], *data: bytes) -> None:
        """Compress in a thread, for the loop has others to serve; send what came of it."""
        work = asyncio.ensure_future(asyncio.to_thread(act, *data))
        try:
            await asyncio.shield(work)
        finally:
            await asyncio.wait({work})  # nobody else may touch the archive before
        if taken := self._zip.take():
            await self._send(taken)

    def _remark(self, path: str, why: str) -> None:
        if len(self._remarks) < MOST_REMARKS:
            self._remarks.append(f"{part_by_part(path)}: {why}")
        else:
            self._unsaid += 1

    async def _say_what_is_missing(self) -> None:
        if not self._remarks and not self._why_over:
            return
        lines = ["This archive does not hold everything. Left out:", "", *self._remarks]
        if self._unsaid:
            lines.append(f"and {self._unsaid} more")
        if self._why_over:
            lines.append(f"everything that follows: {self._why_over}")
        self._zip.begin(NOTE)
        await self._do(self._zip.write, ("\r\n".join(lines) + "\r\n").encode())
        self._zip.end()


def part_by_part(path: str) -> str:
    """Return a path as text that can be written and shown."""
    return "/".join(part_name(part) if part else "" for part in path.split("/"))


def _quoted(path: str) -> str:
    """Return a path percent-encoded; what is no UTF-8 goes as the bytes that it was."""
    return quote(path, errors="surrogateescape")
