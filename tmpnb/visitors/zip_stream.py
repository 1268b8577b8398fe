"""Write a zip file from front to back, and take it away piece by piece as it grows."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from typing import IO

from tmpnb.visitors.archive_names import Names

LARGEST = 2_000_000_000  # bytes of all files; below what asks for the larger kind of zip file
LEVEL = 1  # of compression: text becomes a third of itself, and it costs little
_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2107, 1, 1, tzinfo=UTC)


class ZipStream:
    """A zip file on its way, for readers that go through it from front to back as well.

    Those need all files compressed, as the sizes come behind the data, and folders without
    anything behind them. Names are such that every system takes them, each once.
    """

    def __init__(self) -> None:
        """Begin an empty one."""
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)  # type: ignore[call-overload]  # all that it needs of a file is `write` and `flush`
        self._entry: IO[bytes] | None = None
        self._names = Names()

    def folder(self, name: str, modified: float | None = None) -> str:
        """Add a folder; return its path, without a slash at its end.

        Args:
            name: Its path: a folder as it was returned, and a name as it is elsewhere.
            modified: When it was changed last, Unix time in seconds.
        """
        name = self._names.folder(name)
        info = zipfile.ZipInfo(f"{name}/", _dos_time(modified))
        info.external_attr = (0o40755 << 16) | 0x10
        info.CRC = info.file_size = info.compress_size = 0
        self._zip.mkdir(info)
        return name

    def begin(self, name: str, modified: float | None = None) -> str:
        """Begin a file, as `folder` does; `write` fills it and `end` ends it."""
        name = self._names.file(name)
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
