"""All files of a server in one archive: whole, safe, bounded, and honest about what is missing."""

from __future__ import annotations

import asyncio
import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from tests.support.contents_site import BASE, MODIFIED, ContentsSite
from tests.support.world import KEY, wait_until
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import DownloadBrokenError, TooManyDownloadsError
from tmpnb.system import untrusted_json
from tmpnb.system.http.client import Client
from tmpnb.system.signing import TokenMaker
from tmpnb.visitors import downloads, http_stream
from tmpnb.visitors.downloads import Downloads

ID = BASE.split("/")[2]
TOKENS = TokenMaker(KEY)

pytestmark = pytest.mark.gen_test(timeout=60)


class Visitor:
    """Takes an archive away, with a server that it has as long as it likes."""

    def __init__(self, site: ContentsSite, client: Client) -> None:
        self.server = NotebookServer(ID, 0.0, Phase.CLAIMED, address=site.address)
        self.has_it = True
        self.taken = bytearray()
        self.uses = 0
        self.downloads = Downloads(
            client, TOKENS, lambda _: self.server if self.has_it else None, self.use
        )

    def use(self, server: NotebookServer) -> None:
        assert server is self.server
        self.uses += 1

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
        "Daten/Größe & Maß #1.csv": bytes(range(256)) * 1000,
        "数据/空.txt": b"",
        "a%20b/100%/c;d#e": b"x",
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


@pytest.mark.parametrize("name", ["..", ".", "", "/etc/passwd", "a/../../b", "C\x00:", "a\\..\\b"])
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
    if "\\" not in name:
        assert "no file can have this name" in note(archive)
        assert [a for a in site.asked if a.startswith("files/")] == []


ODD: list[Any] = [
    None,
    7,
    "text",
    [],
    {},
    {"name": None},
    {"name": 5},
    {"name": "\ud800"},
    {"name": "caf\udce9.txt"},
    {"name": "x" * 100_000},
    {"name": "x" * 100_000, "type": "directory"},
    {"name": ".."},
    {"name": "", "type": "directory"},
    {"name": "a/../../b"},
    {"name": "a\0b"},
]
READABLE: list[dict[str, Any]] = [
    {"name": "a", "size": -5},
    {"name": "a", "size": True},
    {"name": "a", "size": "many"},
    {"name": "a", "size": float("inf")},
    {"name": "a", "size": float("nan")},
    {"name": "a", "type": ["file"]},
    {"name": "a", "type": None},
    {"name": "a", "last_modified": 5},
    {"name": "a", "last_modified": "yesterday"},
    {"name": "a", "last_modified": "9999-12-31T23:59:59-23:59"},
    {"name": "a", "last_modified": "\ud800" * 1000},
    {"name": "a", "last_modified": [[[{}]]]},
    {"name": "a", "path": {"not": "text"}},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: ascii(odd)[:40])
async def test_an_odd_entry_costs_that_entry_only(
    site: ContentsSite, visitor: Visitor, odd: object
) -> None:
    site.files = {"a": b"1", "b": b"2"}
    a, b = site.entries("")
    site.lists[""] = json.dumps({"content": [a, odd, b]})
    archive = await visitor.archive()
    found = contents(archive)
    assert (found.pop("a"), found.pop("b")) == (b"1", b"2")
    assert set(found) == {"LEFT OUT.txt"}
    line = note(archive).splitlines()[2:]
    assert len(line) == 1
    assert len(line[0]) < 500


@pytest.mark.parametrize("odd", READABLE, ids=lambda odd: ascii(odd)[:40])
async def test_what_is_odd_beside_the_name_costs_nothing(
    site: ContentsSite, visitor: Visitor, odd: dict[str, Any]
) -> None:
    site.files = {"a": b"1"}
    site.lists[""] = json.dumps({"content": [{"type": "file", "size": 1} | odd]})
    assert contents(await visitor.archive()) == {"a": b"1"}


async def test_a_name_that_is_no_utf_8_in_raw_or_a_number_too_long_costs_that_entry(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files = {"a": b"1", "big": b"2"}
    big = b'{"name": "big", "size": ' + b"9" * 10_000 + b"}"
    site.lists[""] = b'{"content": [{"name": "a"}, {"name": "caf\xe9"}, ' + big + b"]}"
    archive = await visitor.archive()
    assert contents(archive)["a"] == b"1"
    assert note(archive).splitlines()[2:] == ["caf\\xe9: the server answered 400"]


async def test_a_size_beyond_all_bounds_leaves_out_that_file(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files = {"a": b"1", "b": b"2"}
    site.lists[""] = {"content": [{"name": "a", "size": 10**300}, {"name": "b"}]}
    archive = await visitor.archive()
    assert contents(archive)["b"] == b"2"
    assert note(archive).splitlines()[2:] == ["a: the archive would be larger than 2000 MB"]


async def test_names_that_come_again_and_again_get_numbers(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files = {"a.txt": b"1"}
    site.listed[""] = [{"name": "a.txt"}] * 3
    archive = await visitor.archive()
    assert set(contents(archive)) == {"a.txt", "a (2).txt", "a (3).txt", "NAMES.txt"}


async def test_entries_beyond_what_there_may_be_are_counted(
    site: ContentsSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_FILES", 1)
    monkeypatch.setattr(downloads, "MOST_FOLDERS", 1)
    site.files = {"a": b""}
    site.listed[""] = [{"name": "a"}, 5, 6, 7]  # type: ignore[list-item]  # it may send anything
    lines = note(await visitor.archive()).splitlines()[2:]
    assert lines == ["/: the server names something that is no file", "/: 2 of 4 files and folders"]
    visitor.taken.clear()
    del site.listed[""][2:]
    assert len(note(await visitor.archive()).splitlines()[2:]) == 1


async def test_names_that_windows_refuses_are_replaced_and_listed(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files = {"what?/why: 1.txt": b"1", "NUL": b"2", "a.TXT": b"3", "A.txt": b"4"}
    archive = await visitor.archive()
    found = contents(archive)
    assert found.pop("NAMES.txt").decode().splitlines()[2:] == [
        "what?/ -> what_/",
        "NUL -> NUL_",
        "A.txt -> A (2).txt",
        "what?/why: 1.txt -> what_/why_ 1.txt",
    ]
    assert found == {"what_/why_ 1.txt": b"1", "NUL_": b"2", "a.TXT": b"3", "A (2).txt": b"4"}


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
    ("limit", "enough", "said"),
    [
        ("LARGEST", 300, "b/c: the archive would be larger than 0 MB"),
        ("MOST_FILES", 3, "b/c: more than 2 files"),
        ("MOST_FOLDERS", 1, "b/: more than 0 folders"),
        ("DEEPEST", 1, "b/: more than 0 folders in each other"),
        ("LONGEST_LIST", None, "/: more files in one folder"),
        ("MOST_VALUES", None, "/: more files in one folder"),
    ],
)
async def test_archive_is_bounded_to_the_last_one_and_says_so(
    site: ContentsSite,
    visitor: Visitor,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    enough: int | None,
    said: str,
) -> None:
    site.files = {"a": bytes(100), "a2": bytes(100), "b/c": bytes(100)}
    if enough is None:
        site.lists[""] = json.dumps({"content": list(site.entries(""))})
        values = sum(site.lists[""].count(mark) for mark in "[{,")
        enough = len(site.lists[""]) if limit == "LONGEST_LIST" else values
    monkeypatch.setattr(downloads, limit, enough)
    assert set(contents(await visitor.archive())) == {"a", "a2", "b/c"}
    visitor.taken.clear()
    monkeypatch.setattr(downloads, limit, enough - 1)
    archive = await visitor.archive()
    assert said in note(archive)
    assert "b/c" not in contents(archive)
    assert ("a" in contents(archive)) == (said[0] != "/")


def test_a_list_of_as_many_files_as_there_may_be_is_read() -> None:
    """Notebook servers say 12 things of each."""
    one = {
        "name": "measurement.csv", "path": "data/measurement.csv", "last_modified": MODIFIED,
        "created": MODIFIED, "content": None, "format": None, "mimetype": "text/csv",
        "size": 12345, "writable": True, "hash": None, "hash_algorithm": None, "type": "file",
    }  # fmt: skip
    listing = json.dumps(one | {"content": [one] * downloads.MOST_FILES}).encode()
    assert len(listing) <= downloads.LONGEST_LIST
    assert untrusted_json.loads(listing, lenient=True, most=downloads.MOST_VALUES)


async def test_folders_are_counted_one_by_one(
    site: ContentsSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_FOLDERS", 2)
    site.files = {"x/1": b"1", "x/y/2": b"2", "z/3": b"3"}
    archive = await visitor.archive()
    assert set(contents(archive)) == {"x/1", "z/3", "LEFT OUT.txt"}
    assert note(archive).splitlines()[2:] == ["x/y/: more than 2 folders"]


async def test_a_path_may_be_as_long_as_a_file_can_have(
    site: ContentsSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bytes, for its address is made of them."""
    monkeypatch.setattr(downloads, "LONGEST_PATH", len("ü/ü/a".encode()))
    site.files = {"ü/ü/a": b"1", "ü/ü/ü": b"2", "ü/ü/ab/c": b"3"}
    archive = await visitor.archive()
    assert set(contents(archive)) == {"ü/ü/a", "LEFT OUT.txt"}
    assert set(note(archive).splitlines()[2:]) == {
        "ü/ü/ü: no file can have so long a path",
        "ü/ü/ab: no file can have so long a path",
    }
    assert not [address for address in site.asked if "ab" in address]


async def test_a_file_that_grows_while_it_is_read_is_bounded_to_the_byte(
    site: ContentsSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the list says of its size is not believed."""
    site.files = {"a": bytes(100)}
    site.listed[""] = [{"name": "a", "size": 1}]
    monkeypatch.setattr(downloads, "LARGEST", 100)
    assert contents(await visitor.archive()) == {"a": bytes(100)}
    visitor.taken.clear()
    monkeypatch.setattr(downloads, "LARGEST", 99)
    assert set(contents(await visitor.archive())) == {"LEFT OUT.txt"}


async def test_remarks_are_bounded_too(
    site: ContentsSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_REMARKS", 3)
    site.files = {f"f{n}": b"" for n in range(10)}
    site.statuses = dict.fromkeys(site.files, 404)
    lines = note(await visitor.archive()).splitlines()
    assert len(lines) == 2 + 3 + 1
    assert lines[-1] == "and 7 more"
    visitor.taken.clear()
    monkeypatch.setattr(downloads, "MOST_REMARKS", 10)
    assert len(note(await visitor.archive()).splitlines()) == 2 + 10


async def test_file_that_never_ends_is_cut_off(
    site: ContentsSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LARGEST", 1_000_000)
    site.files, site.endless = {"log": b""}, {"log"}
    archive = await visitor.archive()
    assert 0 < len(contents(archive)["log"]) <= 1_000_000
    assert "log: only its beginning is there: the archive would be larger" in note(archive)


async def test_server_that_answers_no_more_breaks_the_archive(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files, site.mute = {f"f{n}": b"" for n in range(20)}, True
    with pytest.raises(DownloadBrokenError, match="answers no more"):
        await visitor.archive()
    assert len([a for a in site.asked if a.startswith("files/")]) == downloads.MOST_MISSES


async def test_few_files_without_an_answer_are_left_out_by_a_server_that_lives(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files, site.mute = {f"f{n}": b"" for n in range(downloads.MOST_MISSES - 1)}, True
    lines = note(await visitor.archive()).splitlines()[2:]
    assert lines == [f"f{n}: no answer" for n in range(downloads.MOST_MISSES - 1)]


@pytest.mark.parametrize("between", [{"b": b"1"}, {}])
async def test_each_answer_lets_the_counting_of_silence_begin_anew(
    site: ContentsSite, visitor: Visitor, between: dict[str, bytes]
) -> None:
    """The answer is a file between them, or the list of a folder."""
    folder = "" if between else "z/"
    first = [f"a{n}" for n in range(downloads.MOST_MISSES - 1)]
    last = [f"{folder}c{n}" for n in range(downloads.MOST_MISSES - 1)]
    site.files = dict.fromkeys(first, b"") | between | dict.fromkeys(last, b"")
    site.silent = {*first, *last}
    lines = note(await visitor.archive()).splitlines()[2:]
    assert lines == [f"{name}: no answer" for name in first + last]


@pytest.mark.parametrize("breaks", [{"last"}, set()])
async def test_server_that_dies_at_its_last_file_breaks_the_archive(
    site: ContentsSite, visitor: Visitor, breaks: set[str]
) -> None:
    """There is nothing left to ask for, so it is asked whether it lives."""
    site.files, site.breaks = {"a": b"1", "last": b"half"}, breaks
    site.dies_with = "last"
    with pytest.raises(DownloadBrokenError, match="answers no more"):
        await visitor.archive()


@pytest.mark.parametrize("size", [4, None])
async def test_server_that_dies_in_a_file_of_unknown_length_breaks_the_archive(
    site: ContentsSite, visitor: Visitor, size: int | None
) -> None:
    """The end of the connection is the end of the file, as notebook servers send it."""
    site.files, site.cut, site.dies_with = {"last": b"four"}, {"last"}, "last"
    site.listed[""] = [{"name": "last", "size": size}]
    with pytest.raises(DownloadBrokenError, match="answers no more"):
        await visitor.archive()


async def test_file_that_is_shorter_than_its_server_said_is_named(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files, site.cut = {"a": b"four", "b": b""}, {"a"}
    archive = await visitor.archive()
    assert (contents(archive)["a"], contents(archive)["b"]) == (b"fou", b"")
    assert note(archive).splitlines()[2:] == ["a: shorter here than in the server's list"]


async def test_file_that_is_whole_is_not_doubted(site: ContentsSite, visitor: Visitor) -> None:
    """It has the length that it says, or as much as the list says."""
    site.files, site.unsized = {"a": b"four", "b": b"", "c": b"short"}, {"a", "b"}
    site.listed[""] = [{"name": "a", "size": 4}, {"name": "b", "size": 0}, {"name": "c", "size": 9}]
    assert contents(await visitor.archive()) == site.files
    assert len([address for address in site.asked if address.startswith("api/")]) == 1


async def test_server_that_never_answered_sends_nothing(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.dies_with = ""
    with pytest.raises(DownloadBrokenError, match="does not answer"):
        await visitor.archive()
    assert not visitor.taken


@pytest.mark.parametrize("files", [["a/x", "b/x"], ["a", "b", "c"]])
async def test_notebook_that_ends_meanwhile_breaks_the_archive(
    site: ContentsSite, visitor: Visitor, files: list[str]
) -> None:
    site.files = dict.fromkeys(files, bytes(1000))
    site.heard = lambda path: setattr(visitor, "has_it", path != files[1].split("/")[0])
    with pytest.raises(DownloadBrokenError, match="ended before"):
        await visitor.archive()
    assert f"files/{files[-1]}" not in site.asked


async def test_notebook_that_ends_after_its_last_file_gives_a_whole_archive(
    site: ContentsSite, visitor: Visitor
) -> None:
    site.files = {"a": b"1"}
    site.heard = lambda path: setattr(visitor, "has_it", path != "a")
    assert contents(await visitor.archive()) == {"a": b"1"}


async def test_ended_notebook_is_asked_nothing(site: ContentsSite, visitor: Visitor) -> None:
    visitor.has_it = False
    with pytest.raises(DownloadBrokenError, match="ended before"):
        await visitor.archive()
    assert site.asked == []


async def test_each_piece_that_is_taken_counts_as_use(site: ContentsSite, visitor: Visitor) -> None:
    site.files = {"a": os.urandom(1_000_000)}
    await visitor.archive()
    assert visitor.uses > 1_000_000 / http_stream.PIECE


async def test_a_download_that_waits_counts_as_use_until_it_ends(
    site: ContentsSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "KEEP_EVERY", 0.005)
    site.files, enough = {"a": bytes(1000)}, asyncio.Event()

    async def take(_: bytes) -> None:
        await enough.wait()
        raise ConnectionError("gone")

    packing = asyncio.create_task(visitor.downloads.pack(visitor.server, take))
    await wait_until(lambda: visitor.uses > 20, "it counts as use")
    enough.set()
    with pytest.raises(ConnectionError):
        await packing
    assert [t for t in asyncio.all_tasks() if "_use_on" in repr(t) and not t.cancelling()] == []


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


async def test_who_has_ended_their_downloads_is_forgotten(visitor: Visitor) -> None:
    with visitor.downloads.place(visitor.server):
        with visitor.downloads.place(visitor.server):
            assert visitor.downloads._running == {ID: 2}
        with pytest.raises(ConnectionError), visitor.downloads.place(visitor.server):
            raise ConnectionError("gone")
        assert visitor.downloads._running == {ID: 1}
    assert dict(visitor.downloads._running) == {}
