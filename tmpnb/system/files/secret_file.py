"""Read a secret that an operator has put into a file."""

from __future__ import annotations

from pathlib import Path

from tmpnb.errors import ConfigError
from tmpnb.system.files import plain_file
from tmpnb.system.files.plain_file import FileTooLargeError, NoPlainFileError
from tmpnb.system.files.plain_text import NoTextError, decoded

BY_FILE = "_FILE"  # behind the name of a variable: of the one that names a file
LARGEST = 4096  # bytes of a file that holds a secret


def read(name: str, path: Path) -> str:
    """Return the secret in a file, without blanks and newlines around it.

    Raises:
        ConfigError: It holds none. The message says nothing of what it holds.
    """
    where = f"{name}{BY_FILE}={path}"
    try:
        text = decoded(_content(path)).strip()
    except NoTextError as error:
        raise ConfigError(f"{where}: {error.strerror}") from error
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{where} {error}") from None
    if not text:
        raise ConfigError(f"{where} is empty; write the secret into it")
    if not text.isprintable():
        raise ConfigError(f"{where} holds more than one line, or what cannot be typed")
    return text


def _content(path: Path) -> bytes:
    """Return the bytes of a file, at once, whatever it is.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no file with content, or too large.
    """
    try:
        return plain_file.read(path, LARGEST)
    except NoPlainFileError:
        raise ValueError("is no file with a secret in it") from None
    except FileTooLargeError as error:
        raise ValueError(f"is {error.strerror}, so it holds more than a secret") from None
