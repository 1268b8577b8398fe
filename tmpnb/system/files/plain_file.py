"""Read a file that somebody has named or may have changed: at once, whatever is there, and bounded.

Opening a pipe waits for who writes into it, and a device may never end. Neither is what is meant.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from tmpnb.system.files.plain_text import decoded

# Root without the capability to read everything, as in a container of the Compose file.
DENIED = (
    "Permission denied; root has no special rights here, so it must belong to root or be for all"
)


class NoPlainFileError(OSError):
    """It is a directory, a pipe, a socket or a device."""


class FileTooLargeError(OSError):
    """It is larger than may be."""


def text(path: Path, most: int) -> str:
    """Return the text in a file, without a byte order mark.

    Args:
        path: Of the file; links are followed.
        most: Bytes that there may be.

    Raises:
        OSError: It cannot be read, or is no text in UTF-8; with `strerror` in words.
    """
    return decoded(read(path, most))


def read(path: Path, most: int) -> bytes:
    """Return what is in a file.

    Args:
        path: Of the file; links are followed.
        most: Bytes that there may be.

    Raises:
        OSError: It cannot be read; with `strerror` in words.
    """
    descriptor = _opened(path)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NoPlainFileError(errno.EINVAL, "not a plain file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise FileTooLargeError(errno.EFBIG, f"larger than {most} bytes")
    return content


def denied(error: PermissionError) -> str:
    """Return why something cannot be read, in words that help root as well."""
    return DENIED if os.geteuid() == 0 else str(error.strerror)


def _opened(path: Path) -> int:
    # Without O_NONBLOCK a pipe would be waited for here; to plain files it means nothing.
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except PermissionError as error:
        raise PermissionError(error.errno, denied(error), str(path)) from error
