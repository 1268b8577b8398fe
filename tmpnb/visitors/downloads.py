"""All files of a notebook server in one archive, read from it while the visitor takes it away.

Nothing of it is kept: a file goes piece by piece from the server into the archive and on
to the visitor. What cannot be read is named in a text file at the archive's end; when the
server itself is gone, there is no end, so that nobody takes the archive for whole.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPResponse

from tmpnb.core.server import NotebookServer
from tmpnb.errors import (
    AnswerTooLargeError,
    DownloadBrokenError,
    TooManyDownloadsError,
    UnreachableError,
)
from tmpnb.system import untrusted_json
from tmpnb.system.http.client import Client
from tmpnb.system.pacing import Pace
from tmpnb.system.signing import TokenMaker
from tmpnb.system.units import unix_time
from tmpnb.visitors import http_stream
from tmpnb.visitors.archive_names import shown
from tmpnb.visitors.notes import Note
from tmpnb.visitors.zip_stream import LARGEST, ZipStream

ROOT = "notebook-files"  # the folder in the archive that holds everything
LEFT_OUT = "LEFT OUT.txt"
NAMES = "NAMES.txt"
AT_ONCE = 2  # archives of one server
PATIENCE = 30.0  # seconds for one answer of the server, or one piece of it
MOST_MISSES = 5  # times in a row that the server gave no answer: then it counts as gone
MOST_REMARKS = 1000  # lines of a text file
MOST_FILES = 10_000
MOST_FOLDERS = 2_000
LONGEST_LIST = 4_000_000  # bytes of what a server says of one folder
MOST_VALUES = 150_000  # in it: a full archive's files have 13 each. It costs the loop 0.1 s
LONGEST_NAME = 1024  # bytes; file systems have 255
LONGEST_PATH = 4096  # bytes, as Linux has it; an address has up to three times as many
KEEP_EVERY = 3.0  # seconds in which a download says that its server is in use
GIVE_WAY_AFTER = 10  # entries, which may all be left out without any wait
DEEPEST = 30  # folders in each other; a link may lead to a folder above it

Send = Callable[[bytes], Awaitable[None]]


class Downloads:
    """Packs the files of servers, a few archives of each at a time."""

    def __init__(
        self,
        client: Client,
        tokens: TokenMaker,
        live: Callable[[str], NotebookServer | None],
        use: Callable[[NotebookServer], None] = lambda _: None,
    ) -> None:
        """Keep what is needed.

        Args:
            client: Asks servers for their lists of files.
            tokens: Opens them.
            live: Returns a server by its id while a visitor has it.
            use: Told again and again of a server whose files are taken away.
        """
        self._client, self._tokens, self._live, self._use = client, tokens, live, use
        self._running: Counter[str] = Counter()
        self._pace = Pace()

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
        """Send all files of a server as a zip file. Whatever `send` raises ends it.

        The server counts as used meanwhile: each wait in here has its end.

        Raises:
            DownloadBrokenError: The server ended or answers no more, before all was told;
                what was sent is no whole archive.
        """
        url = f"{server.address}{server.base_url}"
        source = _Source(self._client, self._pace, url, self._tokens.token_for(server.id))

        async def send_and_use(piece: bytes) -> None:
            self._use(server)
            await send(piece)

        using = asyncio.create_task(self._use_on(server))
        try:
            await _Packing(source, send_and_use, lambda: self._live(server.id) is server).run()
        finally:
            using.cancel()

    async def _use_on(self, server: NotebookServer) -> None:
        while True:
            self._use(server)
            await asyncio.sleep(KEEP_EVERY)


@dataclass(frozen=True, slots=True)
class _Source:
    """The contents API of one server. Its questions do not count as use of it."""

    client: Client
    pace: Pace
    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    async def entries(self, folder: str) -> list[Any] | str:
        """Return what the server says is in a folder, or why that is not known.

        Raises:
            UnreachableError: The server does not answer.
        """
        try:
            answer = await self._ask(folder, content=1, most=LONGEST_LIST)
            if answer.code != 200:
                return f"the server answered {answer.code}"
            read = partial(untrusted_json.loads, lenient=True, most=MOST_VALUES, fractions=False)
            found = (await self.pace.do(lambda: read(answer.body)))["content"]
        except (AnswerTooLargeError, untrusted_json.TooManyValuesError):
            return f"more files in one folder than the {MOST_FILES} there may be in an archive"
        except (ValueError, KeyError, TypeError):
            found = None
        return found if isinstance(found, list) else "the server's answer is no list of files"

    async def check(self) -> None:
        """See that there is a server.

        Raises:
            UnreachableError: It does not answer.
        """
        await self._ask("", content=0, head_only=True)

    async def _ask(self, folder: str, *, content: int, **how: Any) -> HTTPResponse:
        query = f"type=directory&content={content}&no_track_activity=1"
        url = f"{self.url}api/contents/{_quoted(folder)}?{query}"
        return await self.client.fetch(url, timeout=PATIENCE, headers=self.headers, **how)

    def file(self, path: str) -> AbstractAsyncContextManager[http_stream.Pieces]:
        """Return a context with the contents of a file."""
        url = f"{self.url}files/{_quoted(path)}"
        return http_stream.opened(url, self.headers, patience=PATIENCE)


class _Packing:
    """One archive in the making."""

    def __init__(self, source: _Source, send: Send, goes_on: Callable[[], bool]) -> None:
        self._source, self._send, self._goes_on = source, send, goes_on
        self._zip = ZipStream()
        self._folders: deque[tuple[str, str, int]] = deque()  # path, path in the archive, depth
        self._files = self._seen_folders = self._bytes = self._misses = 0
        self._in_doubt = False  # whether the server was silent or broke off, once
        self._left_out = Note("This archive does not hold everything. Left out:", MOST_REMARKS)
        self._renamed = Note(
            "Not every system can have these names. In the notebook, and here:", MOST_REMARKS
        )

    async def run(self) -> None:
        try:
            self._folders.append(("", self._zip.folder(ROOT), 0))
            while self._folders:
                await self._pack_folder(*self._folders.popleft())
            await self._require_server_after_silence()
            await self._add_note(LEFT_OUT, self._left_out)
            await self._add_note(NAMES, self._renamed)
            await self._do(self._zip.close)
        finally:
            self._zip.close()

    def _require_server(self) -> None:
        if not self._goes_on():
            raise DownloadBrokenError("the notebook ended before all its files were out")
        if self._misses >= MOST_MISSES:
            raise DownloadBrokenError("the notebook server answers no more")

    async def _require_server_after_silence(self) -> None:
        """See that what is left out is the fault of single files."""
        if not self._in_doubt:
            return
        try:
            await self._source.check()
        except UnreachableError:
            self._misses = MOST_MISSES
        self._require_server()

    def _miss(self) -> None:
        self._misses, self._in_doubt = self._misses + 1, True

    async def _pack_folder(self, path: str, name: str, depth: int) -> None:
        self._require_server()
        try:
            found = await self._source.entries(path)
            self._misses = 0
        except UnreachableError as error:
            self._miss()
            if not path:  # so there is nothing, and nothing was sent
                raise DownloadBrokenError("the notebook server does not answer") from error
            found = "no answer"
        if isinstance(found, str):
            self._leave_out(f"{path}/", found)
            return
        most = MOST_FILES + MOST_FOLDERS
        for number, entry in enumerate(found[:most], 1):
            await self._pack_entry(path, name, depth, entry)
            if number % GIVE_WAY_AFTER == 0:
                await asyncio.sleep(0)
        if len(found) > most:
            self._leave_out(f"{path}/", f"{len(found) - most} of {len(found)} files and folders")

    async def _pack_entry(self, folder: str, folder_name: str, depth: int, entry: object) -> None:
        self._require_server()
        named = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(named, str):
            self._leave_out(f"{folder}/", "the server names something that is no file")
            return
        path, wanted = f"{folder}/{named}".lstrip("/"), f"{folder_name}/{named}"
        if not _can_be(named):
            self._leave_out(f"{folder}/{named}", "no file can have this name")
        elif len(path.encode(errors="surrogateescape")) > LONGEST_PATH:
            self._leave_out(path, "no file can have so long a path")
        elif entry.get("type") == "directory":
            self._see_folder(path, wanted, depth + 1, entry)
        else:
            await self._pack_file(path, wanted, entry)

    def _see_folder(self, path: str, wanted: str, depth: int, entry: dict[str, Any]) -> None:
        if depth > DEEPEST:
            self._leave_out(f"{path}/", f"more than {DEEPEST} folders in each other")
        elif self._seen_folders >= MOST_FOLDERS:
            self._leave_out(f"{path}/", f"more than {MOST_FOLDERS} folders")
        else:
            self._seen_folders += 1
            name = self._zip.folder(wanted, unix_time(entry.get("last_modified")))
            self._note_name(f"{path}/", f"{wanted}/", f"{name}/")
            self._folders.append((path, name, depth))

    async def _pack_file(self, path: str, wanted: str, entry: dict[str, Any]) -> None:
        said = entry.get("size")
        size = said if isinstance(said, int) and said >= 0 else None
        if self._files >= MOST_FILES:
            self._leave_out(path, f"more than {MOST_FILES} files")
            return
        if self._too_large(path, size or 0):
            return
        self._files += 1
        try:
            async with self._source.file(path) as content:
                self._misses = 0
                if content.status != 200:
                    self._leave_out(path, f"the server answered {content.status}")
                elif not self._too_large(path, content.length or 0):
                    name = self._zip.begin(wanted, unix_time(entry.get("last_modified")))
                    self._note_name(path, wanted, name)
                    await self._copy(path, content, size)
        except UnreachableError:
            self._miss()
            self._leave_out(path, "no answer")

    async def _copy(self, path: str, content: http_stream.Pieces, size: int | None) -> None:
        start = self._bytes
        try:
            while piece := await content.read():
                if self._too_large(path, len(piece), "only its beginning is there: "):
                    return
                self._bytes += len(piece)
                await self._do(self._zip.write, piece)
            # Without a length, a server that dies looks like the end of the file.
            if content.length is None and (size is None or self._bytes - start < size):
                self._in_doubt = True
                if size is not None:
                    self._leave_out(path, "shorter here than in the server's list")
        except UnreachableError:
            self._in_doubt = True
            self._leave_out(path, "only its beginning is there: the server stopped sending it")
        finally:
            self._zip.end()

    def _too_large(self, path: str, size: int, how: str = "") -> bool:
        fits = self._bytes + size <= LARGEST
        if not fits:
            limit = f"{LARGEST // 10**6} MB"
            self._leave_out(path, f"{how}the archive would be larger than {limit}")
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

    def _leave_out(self, path: str, why: str) -> None:
        self._left_out.add(lambda: f"{shown(path)}: {why}")

    def _note_name(self, path: str, wanted: str, name: str) -> None:
        if name != wanted:
            self._renamed.add(lambda: f"{shown(path)} -> {name.removeprefix(f'{ROOT}/')}")

    async def _add_note(self, name: str, note: Note) -> None:
        if text := note.text():
            self._zip.begin(f"{ROOT}/{name}")
            await self._do(self._zip.write, text.encode())
            self._zip.end()


def _can_be(name: str) -> bool:
    """Whether a file can have this name, and another folder cannot be meant by it."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return False
    with suppress(UnicodeEncodeError):
        return len(name.encode(errors="surrogateescape")) <= LONGEST_NAME
    return False


def _quoted(path: str) -> str:
    """Return a path percent-encoded; what is no UTF-8 goes as the bytes that it was."""
    return quote(path, errors="surrogateescape")
