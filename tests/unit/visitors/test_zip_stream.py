"""Zip files on their way: for readers that seek and for those that go from front to back."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from tmpnb.visitors.zip_stream import ZipStream

STORED, DEFLATED, BEHIND, UTF_8 = 0, 8, 0x08, 0x800


def example() -> bytes:
    stream, taken = ZipStream(), b""
    stream.folder("r")
    folder = stream.folder("r/Maß", 1e9)
    stream.begin(f"{folder}/a.txt", 1e9)
    stream.write(b"one ")
    taken += stream.take()
    stream.write(b"two" * 1000)
    stream.end()
    stream.begin("r/empty")
    stream.close()
    return taken + stream.take()


def read_forwards(data: bytes) -> dict[str, bytes]:
    """Read as Java's ZipInputStream does, which sees no list of contents first."""
    found, at = dict[str, bytes](), 0
    while data[at : at + 4] == b"PK\3\4":
        flags, method, _, crc, packed, size, name_length, more = struct.unpack(
            "<HHLLLLHH", data[at + 6 : at + 30]
        )
        start = at + 30 + name_length + more
        name = data[at + 30 : at + 30 + name_length].decode("utf-8" if flags & UTF_8 else "ascii")
        if flags & BEHIND:
            assert method == DEFLATED, "only what is compressed says by itself where it ends"
            unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
            found[name] = unpacking.decompress(data[start:])
            at = len(data) - len(unpacking.unused_data)
            signature, crc, packed, size = struct.unpack("<4sLLL", data[at : at + 16])
            assert signature == b"PK\7\x08"
            assert packed == at - start
            at += 16
        else:
            assert method == STORED
            found[name], at = data[start : start + packed], start + packed
        assert (size, crc) == (len(found[name]), zlib.crc32(found[name]))
    assert data[at : at + 4] == b"PK\1\2"
    return found


CONTENTS = {"r/": b"", "r/Maß/": b"", "r/Maß/a.txt": b"one " + b"two" * 1000, "r/empty": b""}


def test_it_can_be_read_from_front_to_back() -> None:
    assert read_forwards(example()) == CONTENTS


def test_it_can_be_read_by_its_list_of_contents() -> None:
    archive = zipfile.ZipFile(io.BytesIO(example()))
    assert archive.testzip() is None
    assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS
    assert archive.getinfo("r/Maß/").date_time == (2001, 9, 9, 1, 46, 40)
    assert archive.getinfo("r/Maß/a.txt").date_time == (2001, 9, 9, 1, 46, 40)
    assert archive.getinfo("r/Maß/").external_attr == (0o40755 << 16) | 0x10
    assert archive.getinfo("r/empty").external_attr == 0o100644 << 16


@pytest.mark.parametrize(
    ("moment", "year"),
    [(None, 1980), (-1e18, 1980), (0, 1980), (float("nan"), 1980), (1e18, 1980), (5e9, 2107)],
)
def test_a_time_that_zip_files_do_not_know_becomes_one_that_they_do(
    moment: float | None, year: int
) -> None:
    stream = ZipStream()
    stream.begin("a", moment)
    stream.close()
    info = zipfile.ZipFile(io.BytesIO(stream.take())).getinfo("a")
    assert info.date_time[0] == year


def test_what_is_taken_is_taken_once() -> None:
    stream = ZipStream()
    stream.folder("r")
    assert stream.take()
    assert stream.take() == b""
