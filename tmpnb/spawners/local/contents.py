"""What each local home begins with: a copy of the operator's folder, links followed. Blocking.

So nothing in a home leads back to the originals. What cannot be copied, or should not be, is left
out and named; it never keeps a server from starting.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tmpnb.system.logs.redaction import on_one_line

MOST = 100_000  # files and folders; links can make any folder endless
NAMED = 10  # of what was left out
# Jupyter does not start, or shows no page, with anything else at these places of a home.
PAGE_CONFIG = ".jupyter/labconfig/page_config.json"
FOLDERS = frozenset(
    [".jupyter", ".jupyter/labconfig", ".local", ".local/share", ".local/share/jupyter"]
)
NO_FILES = ("/proc", "/sys", "/dev")  # what is there looks like files, and is none

_WORDS = {
    errno.ELOOP: "a link to itself",
    errno.ENOENT: "a link to nothing",
    errno.ENOTDIR: "a link to nothing",
    errno.EACCES: "cannot be read",
    errno.EPERM: "cannot be read",
}
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# A file that went, or cannot be copied, costs itself; a full disk costs the start.
_COSTS_ITSELF = frozenset({*_WORDS, errno.EAGAIN, errno.ENAMETOOLONG, errno.EIO, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder to make. `target` is below the home."""

    source: str
    target: str
    is_folder: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What is copied, folders before what is in them, and what is not, in words."""

    entries: tuple[Entry, ...]
    left_out: tuple[str, ...]


def survey(source: Path, private: Collection[Path] = ()) -> Contents:
    """Return what of `source` is copied.

    Args:
        source: A directory.
        private: Directories that are never copied, nor anything in them: they hold secrets,
            or the copies themselves.
    """
    root = os.path.realpath(source)
    walk = _Walk(root, [os.path.realpath(path) for path in (*map(str, private), *NO_FILES)])
    return Contents(tuple(walk.entries()), tuple(walk.left_out))


def copy(contents: Contents, home: Path) -> None:
    """Make `home` with the contents.

    Raises:
        OSError: It cannot be written, as when the disk is full.
    """
    home.mkdir()
    for entry in contents.entries:
        target = home / entry.target
        try:
            if entry.is_folder:
                target.mkdir()
            else:
                _copy_file(entry.source, target)
        except OSError as error:
            if error.errno not in _COSTS_ITSELF:
                raise


def in_words(left_out: Collection[str]) -> str:
    """Return what was left out in one line; "" for nothing."""
    if not left_out:
        return ""
    named = ", ".join(list(left_out)[:NAMED])
    more = f", and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    return f"left out: {named}{more}"


class _Walk:
    """One walk through a folder; `left_out` is known once all entries were taken."""

    def __init__(self, root: str, private: Collection[str]) -> None:
        self.left_out: list[str] = []
        self._root = root
        self._private = private

    def entries(self) -> Iterator[Entry]:
        # Folders to look into: where, below the home, and the real folders on the way there.
        open_folders = [(self._root, "", frozenset({self._root}))]
        count = 0
        while open_folders:
            folder, below, way = open_folders.pop()
            for name in self._names(folder, below):
                target = os.path.join(below, name)
                found = self._look(os.path.join(folder, name), target, way)
                if found is None:
                    continue
                count += 1
                if count > MOST:
                    self._leave_out(target, f"and all else: more than {MOST} files")
                    return
                yield found
                if found.is_folder:
                    open_folders.append((found.source, target, way | {found.source}))

    def _names(self, folder: str, below: str) -> list[str]:
        try:
            return sorted(os.listdir(folder))
        except OSError as error:
            self._leave_out(below or ".", _reason(error))
            return []

    def _look(self, path: str, target: str, way: Collection[str]) -> Entry | None:
        """Return what is to be made of one name; None if it is left out."""
        try:
            real = os.path.realpath(path, strict=True)
            mode = os.stat(real).st_mode
        except (OSError, ValueError) as error:
            self._leave_out(target, _reason(error))
            return None
        if why := self._why_not(real, mode, way) or _what_jupyter_needs(target, mode):
            self._leave_out(target, why)
            return None
        return Entry(real, target, stat.S_ISDIR(mode))

    def _why_not(self, real: str, mode: int, way: Collection[str]) -> str:
        """Return why something is left out; "" if it is copied."""
        if self._is_private(real):
            return "not for visitors"
        if stat.S_ISDIR(mode):
            loops = any(_is_within(folder, real) for folder in way)
            return "a link to a folder that it lies in" if loops else ""
        if not stat.S_ISREG(mode):
            return _KINDS.get(stat.S_IFMT(mode), "no file")
        return "" if os.access(real, os.R_OK, effective_ids=True) else "cannot be read"

    def _is_private(self, real: str) -> bool:
        """Whether it is in a private folder, other than by being in the folder to copy."""
        around = _is_within(real, self._root)
        return any(
            _is_within(real, one) and not (around and _is_within(self._root, one))
            for one in self._private
        )

    def _leave_out(self, target: str, why: str) -> None:
        self.left_out.append(f"{on_one_line(target)} ({why})")


def _what_jupyter_needs(target: str, mode: int) -> str:
    if target in FOLDERS and not stat.S_ISDIR(mode):
        return "Jupyter needs a folder there"
    if target == PAGE_CONFIG and stat.S_ISDIR(mode):
        return "Jupyter needs a file there"
    return ""


def _reason(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return _WORDS.get(number or 0) or getattr(error, "strerror", None) or "cannot be read"


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _copy_file(source: str, target: Path) -> None:
    # It may have become a pipe since the survey, and to open one would wait for its other end.
    number = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "no file any more")
        with target.open("xb") as made:
            shutil.copyfileobj(file, made)
    target.chmod(stat.S_IMODE(about.st_mode) & 0o777)
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
