"""All files of a server in one archive: whole, safe, bounded, and honest about what is missing."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Iterator

import pytest
from contents_site import BASE, ContentsSite
from harness import KEY, wait_until
from tornado.ioloop import IOLoop

from tmpnb import downloads
from tmpnb.downloads import Downloads
from tmpnb.errors import TooManyDownloadsError
from tmpnb.http import Client
from tmpnb.server import NotebookServer, Phase
from tmpnb.tokens import TokenMaker

ID = BASE.split("/")[2]
TOKENS = TokenMaker(KEY)

pytestmark = pytest.mark.gen_test(timeout=60)


class Visitor:
    """Takes an archive away, with a server that it has as long as it likes."""

    def __init__(self, site: ContentsSite, client: Client) -> None:
        self.server = NotebookServer(ID, 0.0, Phase.CLAIMED, address=site.address)
        self.has_it = True
        self.taken = bytearray()
        self.downloads = Downloads(client, TOKENS, lambda _: self.server if self.has_it else None)

    async def take(self, piece: bytes) -> None:
        self.taken += piece

    async def archive(self) -> zipfile.ZipFile:
        await self.downloads.pack(self.server, self.take)
        archive = zipfile.ZipFile(io.BytesIO(bytes(self.taken)))
        assert archive.testzip() is None
        return archive


def contents(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Return the files of an archive by their names below its one folder."""
    names = [name for name in archive.namelist() if not name.endswith("/")]
    assert all(name.startswith("notebook-files/") for name in archive.namelist())
    return {name.removeprefix("notebook-files/"): archive.read(name) for name in names}


def note(archive: zipfile.ZipFile) -> str:
    return contents(archive)["LEFT OUT.txt"].decode()


@pytest.fixture
def site(io_loop: IOLoop) -> Iterator[ContentsSite]:
    running = ContentsSite(TOKENS.token_for(ID))

    async def start() -> object:
        return running.start()

    server = io_loop.run_sync(start)
    yield running
    server.stop()
    io_loop.run_sync(server.close_all_connections)


@pytest.fixture
def visitor(site: ContentsSite, client: Client) -> Visitor:
    return Visitor(site, client)


async def test_everything_is_there_with_its_name_and_its_day(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files = {
        "first.ipynb": b"{}",
        "Daten/Größe & Maß #1?.csv": bytes(range(256)) * 1000,
        "数据/空.txt": b"",
        "a%20b/100%/c;d?e": b"x",
    }
    archive = await visitor.archive()
    assert contents(archive) == site.files
    assert archive.getinfo("notebook-files/first.ipynb").date_time == (2026, 3, 4, 5, 6, 8)
    assert "notebook-files/Daten/" in archive.namelist()


async def test_questions_do_not_count_as_use(site: ContentsSite, visitor: Visitor) -> None:
    site.files = {"a/b.txt": b"b"}
    await visitor.archive()
    asked = [a for a in site.asked if a.startswith("api/")]
    assert len(asked) == 2
    assert all("no_track_activity=1" in address for address in asked)


@pytest.mark.parametrize("name", ["..", ".", "", "/etc/passwd", "a/../../b", "a\\..\\b", "C\x00:"])
async def test_no_name_leads_out_of_the_folder(
    site: ContentsSite, visitor: Visitor, name: str
) -> None:
    site.listed[""] = [{"name": name, "path": name, "type": "file", "size": 1}]
    site.statuses = {}
    site.files = {name: b"x"}
    archive = await visitor.archive()
    for found in archive.namelist():
        assert found.startswith("notebook-files/")
        assert ".." not in found.split("/")
        assert not {"\\", "\0"} & set(found)


async def test_names_that_become_the_same_stay_apart(site: ContentsSite, visitor: Visitor) -> None:
    site.files = {"a\\b.txt": b"1", "a_b.txt": b"2", "LEFT OUT.txt": b"mine", "lost": b""}
    site.statuses["lost"] = 500
    archive = await visitor.archive()
    found = contents(archive)
    assert [found["a_b.txt"], found["a_b (2).txt"]] == [b"1", b"2"]
    assert found["LEFT OUT.txt"] == b"mine"
    assert b"lost: the server answered 500" in found["LEFT OUT (2).txt"]


async def test_what_cannot_be_read_is_named_and_the_rest_is_there(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files = {"broken.bin": b"half", "good.txt": b"good", "secret.txt": b"", "shut/x": b""}
    site.files |= {"odd/x": b""}
    site.breaks, site.statuses = {"broken.bin"}, {"secret.txt": 403, "shut": 500}
    site.lists["odd"] = {"content": "what"}
    archive = await visitor.archive()
    found = contents(archive)
    assert (found["good.txt"], found["broken.bin"]) == (b"good", b"half")
    assert set(note(archive).splitlines()[2:]) == {
        "broken.bin: only its beginning is there: the server stopped sending it",
        "secret.txt: the server answered 403",
        "shut/: the server answered 500",
        "odd/: the server's answer is no list of files",
    }


async def test_nothing_is_said_when_nothing_is_missing(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files = {"a": b"a"}
    assert list(contents(await visitor.archive())) == ["a"]


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("LARGEST", 250, "b/c: the archive would be larger than 0 MB"),
        ("MOST_FILES", 2, "b/c: more than 2 files"),
        ("MOST_FOLDERS", 0, "b/: more than 0 folders"),
        ("DEEPEST", 0, "b/: more than 0 folders in each other"),
        ("LONGEST_LIST", 10, "/: more files in one folder"),
    ],
)
async def test_archive_is_bounded_and_says_so(
    site: ContentsSite,
    visitor: Visitor,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
    said: str,
) -> None:
    monkeypatch.setattr(downloads, limit, value)
    site.files = {"a": bytes(100), "a2": bytes(100), "b/c": bytes(100)}
    archive = await visitor.archive()
    assert said in note(archive)
    assert "b/c" not in contents(archive)
    assert ("a" in contents(archive)) == (limit != "LONGEST_LIST")


async def test_remarks_are_bounded_too(
    site: ContentsSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_REMARKS", 3)
    site.files = {f"f{n}": b"" for n in range(10)}
    site.statuses = dict.fromkeys(site.files, 404)
    lines = note(await visitor.archive()).splitlines()
    assert len(lines) == 2 + 3 + 1
    assert lines[-1] == "and 7 more"


async def test_file_that_never_ends_is_cut_off(
    site: ContentsSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LARGEST", 1_000_000)
    site.files, site.endless = {"log": b""}, {"log"}
    archive = await visitor.archive()
    assert 0 < len(contents(archive)["log"]) <= 1_000_000
    assert "log: only its beginning is there: the archive would be larger" in note(archive)


async def test_server_that_is_silent_is_left_in_peace(site: ContentsSite, visitor: Visitor) -> None:
    site.files, site.mute = {f"f{n}": b"" for n in range(20)}, True
    lines = note(await visitor.archive()).splitlines()[2:]
    assert lines[0] == "f0: no answer"
    assert lines[-1] == "everything that follows: the notebook server answers no more"
    assert len(lines) == downloads.MOST_MISSES + 1


async def test_it_ends_with_the_notebook(site: ContentsSite, visitor: Visitor) -> None:
    site.files = {"a/x": b"", "b/x": b""}
    visitor.has_it = False
    archive = await visitor.archive()
    assert "the notebook ended meanwhile" in note(archive)
    assert site.asked == []


async def test_visitor_who_takes_nothing_stops_the_reading(
    site: ContentsSite, visitor: Visitor
) -> None:
    """What the server has to give stays there: little of it is in memory."""
    site.files, site.endless = {"log": b""}, {"log"}
    enough = asyncio.Event()

    async def take(piece: bytes) -> None:
        await enough.wait()
        raise ConnectionError("gone")

    packing = asyncio.create_task(visitor.downloads.pack(visitor.server, take))
    last = -1
    while last != site.sent or not site.sent:  # until the pipe between them is full
        last = site.sent
        await asyncio.sleep(0.05)
    assert site.sent < 100_000_000  # what the system itself holds for a connection
    enough.set()
    with pytest.raises(ConnectionError):
        await packing
    await wait_until(lambda: site.left, "nobody reads any more")


async def test_few_archives_of_a_server_at_once(visitor: Visitor) -> None:
    with visitor.downloads.place(visitor.server), visitor.downloads.place(visitor.server):
        with pytest.raises(TooManyDownloadsError), visitor.downloads.place(visitor.server):
            pass
        other = NotebookServer("another", 0.0)
        with visitor.downloads.place(other):
            pass
    with visitor.downloads.place(visitor.server):
        pass
