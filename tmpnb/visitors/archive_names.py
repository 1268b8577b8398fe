"""Names in an archive that can be unpacked anywhere: on Windows, macOS, Linux. Pure.

Windows has the narrowest rules: it takes fewer characters, keeps some names for devices,
drops dots and spaces at the end, and does not tell upper from lower case.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left

# In UTF-16 units, as Windows counts. It has 259 for a path; the rest is for where it is unpacked.
LONGEST_PATH = 180
LONGEST_FOLDER = 120  # so that there is room for the names of files in it
LONGEST_PART = 240  # bytes of one name in UTF-8; file systems have 255
NUMBER = len(" (99999)")  # units of what tells a name from one that was there before
LONGEST_ENDING = 20  # characters of what stays of a name that is cut: `.ipynb`

_UNFIT = re.compile(r'[\x00-\x1f\x7f\\/:?*"<>|\ud800-\udfff]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *", re.IGNORECASE)
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def part_name(name: str) -> str:
    """Return the name of a file or folder so that it can stand in a path of an archive.

    It is one part of the path, leads nowhere else, and is UTF-8.
    """
    fit = _UNFIT.sub("_", name)
    kept = fit.rstrip(". ")
    fit = kept + "_" * (len(fit) - len(kept))
    stem, dot, rest = fit.partition(".")
    if _DEVICE.fullmatch(stem):
        fit = f"{stem}_{dot}{rest}"
    return fit or "_"


def shown(path: str, most: int = 300) -> str:
    """Return a path as text of one line that can be written; what is no character as its number."""
    if len(path) > most:
        path = f"{path[: most // 2]}…{path[-most // 4 :]}"
    return _UNSHOWN.sub(lambda found: _number(ord(found[0])), path)


class Names:
    """The paths that are taken in an archive; a second file of a name gets a number."""

    def __init__(self) -> None:
        """Begin with none."""
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}  # number that was given to a name

    def file(self, path: str) -> str:
        """Take a path for a file; return how it is in the archive.

        Args:
            path: A folder from here, and a name in it.
        """
        folder, _, name = path.rpartition("/")
        return self._take(folder, part_name(name), LONGEST_PATH)

    def folder(self, path: str) -> str:
        """Take a path for a folder; one that is too deep comes into the first folder."""
        folder, _, name = path.rpartition("/")
        part = part_name(name)
        if _units(f"{folder}/{part}") > LONGEST_FOLDER - NUMBER:
            folder = folder.partition("/")[0]
        return self._take(folder, part, LONGEST_FOLDER)

    def _take(self, folder: str, part: str, longest: int) -> str:
        start = f"{folder}/" if folder else ""
        room = longest - _units(start)
        found = start + _cut(part, room)
        # Names that are cut to the same count as one, so that no number is tried twice.
        short = _cut(part, room - NUMBER)
        stem, ending = _split(short)
        count = self._last.get(_same(start + short), 1)
        while _same(found) in self._taken:
            count += 1
            found = f"{start}{stem} ({count}){ending}"
        self._last[_same(start + short)] = count
        self._taken.add(_same(found))
        return found


def _same(path: str) -> str:
    """Return what is equal for paths that some system takes for one."""
    return unicodedata.normalize("NFC", path).casefold()


def _units(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _split(name: str) -> tuple[str, str]:
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if stem and len(ending) < LONGEST_ENDING else (name, "")


def _cut(name: str, room: int) -> str:
    """Return a name in so many units, with its ending; it is in UTF-8 already.

    At least the ending is left, whatever room there is.
    """
    stem, ending = _split(name)
    short = stem[: max(room, 0)]
    if not _has_room(short + ending, room):
        lengths = range(len(short))
        fits = bisect_left(lengths, True, key=lambda n: not _has_room(short[:n] + ending, room))
        short = short[: max(fits - 1, 0)]
    return name if short == stem else part_name(short + ending)


def _has_room(name: str, room: int) -> bool:
    return _units(name) <= room and len(name.encode()) <= LONGEST_PART


def _number(code: int) -> str:
    """Return a half character as the byte that it stands for, as Python reads foreign names."""
    byte = code - 0xDC00
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else f"\\u{code:04x}"
