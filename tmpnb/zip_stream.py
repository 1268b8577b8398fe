"""Write a zip file from front to back, and take it away piece by piece as it grows."""

from __future__ import annotations

import re
import zipfile
from datetime import UTC, datetime
from typing import IO

LARGEST = 2_000_000_000  # bytes of all files; below what asks for the larger kind of zip file
LEVEL = 1  # of compression: text becomes a third of itself, and it costs little
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\/\ud800-\udfff]")
_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2107, 1, 1, tzinfo=UTC)


def part_name(name: str) -> str:
    """Return the name of a file or folder so that it can stand in a path of an archive.

    It is one part of the path, leads nowhere else, and is UTF-8.
    """
    fit = _UNFIT.sub("_", name)
    return fit.replace(".", "_") or "_" if fit in ("", ".", "..") else fit


class ZipStream:
    """A zip file on its way. Names are unique: a second one gets a number."""

    def __init__(self) -> None:
        """Begin an empty one."""
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)  # type: ignore[call-overload]  # all that it needs of a file is `write` and `flush`
        self._entry: IO[bytes] | None = None
        self._names: set[str] = set()

    def folder(self, name: str, modified: float | None = None) -> str:
        """Add a folder; return the name it got, without a slash at its end.

        Args:
            name: Its path in the archive, of names from `part_name`.
            modified: When it was changed last, Unix time in seconds.
        """
        name = self._unique(name)
        info = zipfile.ZipInfo(f"{name}/", _dos_time(modified))
        info.external_attr = (0o40755 << 16) | 0x10
        self._zip.writestr(info, b"")
        return name

    def begin(self, name: str, modified: float | None = None) -> str:
        """Begin a file, as `folder` does; `write` fills it and `end` ends it."""
        name = self._unique(name)
        info = zipfile.ZipInfo(name, _dos_time(modified))
        info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
        self._entry = self._zip.open(info, "w")
        return name

    def write(self, data: bytes) -> None:
        """Add to the file that was begun last."""
        assert self._entry is not None  # noqa: S101 - the caller's order
        self._entry.write(data)

    def end(self) -> None:
        """End the file that was begun last."""
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.close()

    def close(self) -> None:
        """Write the list of contents; repeated calls change nothing."""
        self.end()
        self._zip.close()

    def take(self) -> bytes:
        """Return what was written since the last call."""
        return self._sink.take()

    def _unique(self, name: str) -> str:
        stem, dot, suffix = name.rpartition(".")
        if not dot or "/" in suffix:
            stem, suffix = name, ""
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{stem} ({count}){dot if suffix else ''}{suffix}"
        self._names.add(unique)
        return unique


class _Sink:
    """A file that can only be written, from which what was written is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def _dos_time(moment: float | None) -> tuple[int, int, int, int, int, int]:
    """Return a Unix time as zip files have it, in UTC and within the years they know."""
    try:
        when = datetime.fromtimestamp(moment or 0, UTC)
    except (OverflowError, OSError, ValueError):
        when = _EARLIEST
    when = min(max(when, _EARLIEST), _LATEST)
    return when.year, when.month, when.day, when.hour, when.minute, when.second
