"""The secrets that an operator gives: in the environment, or in files that it names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tmpnb.errors import ConfigError

BY_FILE = "_FILE"  # behind the name of a variable: of the one that names a file
VARIABLES = (
    "CONFIGPROXY_AUTH_TOKEN",
    "API_AUTH_TOKEN",
    "ADMIN_AUTH_TOKEN",
    "TMPNB_SECRET_KEY",
    "TMPNB_PASSPHRASE",
)
LARGEST = 4096  # bytes of a file that holds a secret
OTHERS = stat.S_IRGRP | stat.S_IROTH
ENGINES = PurePosixPath("/run/secrets")  # where engines mount secrets, for one container alone


@dataclass(frozen=True, slots=True)
class Secrets:
    """What comes by no flag, so that it is in no process list.

    Attributes:
        proxy_token_file: Where the proxy's token is, or will be once somebody has made one;
            all others are read already.
        files: Which of the others came from a file, by the names of their variables.
    """

    proxy_token: str | None = field(default=None, repr=False)
    proxy_token_file: Path | None = None
    api_token: str | None = field(default=None, repr=False)
    admin_token: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    files: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Secrets:
        """Read them, and the files that are named; an empty variable counts as unset.

        Raises:
            ConfigError: A file holds no secret, or there are both a secret and a file.
        """
        proxy_token, *others = VARIABLES
        names = {name: environ.get(f"{name}{BY_FILE}", "") for name in others}
        files = {name: Path(file) for name, file in names.items() if file}
        given = {name: environ.get(name) or None for name in VARIABLES}
        for name, file in files.items():
            if given[name] is not None:
                raise ConfigError(f"{name} and {name}{BY_FILE} are both set; leave one of them out")
            given[name] = _read(name, file)
        token_file = environ.get(f"{proxy_token}{BY_FILE}")
        return cls(
            proxy_token=given[proxy_token],
            proxy_token_file=Path(token_file) if token_file else None,
            api_token=given["API_AUTH_TOKEN"],
            admin_token=given["ADMIN_AUTH_TOKEN"],
            secret_key=given["TMPNB_SECRET_KEY"],
            passphrase=given["TMPNB_PASSPHRASE"],
            files=files,
        )

    def source(self, name: str) -> str:
        """Return where the secret of a variable is from, for messages."""
        file = self.files.get(name)
        return name if file is None else f"{name}{BY_FILE}={file}"

    def open_to_others(self) -> Iterator[Path]:
        """Yield the files that other users of the machine can read."""
        for file in self.files.values():
            try:
                readable = file.stat().st_mode & OTHERS
            except OSError:
                continue  # gone since; what was read counts
            if readable and ENGINES not in PurePosixPath(file.absolute()).parents:
                yield file


def _read(name: str, path: Path) -> str:
    """Return the secret in a file, without blanks and newlines around it.

    Raises:
        ConfigError: It holds none. The message says nothing of what it holds.
    """
    where = f"{name}{BY_FILE}={path}"
    try:
        text = _content(path).decode("utf-8-sig").strip()
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{where} is not UTF-8") from None  # which would quote it
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
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is no file with a secret in it")
        content = os.read(descriptor, LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST:
        raise ValueError(f"is larger than {LARGEST} bytes, so it holds more than a secret")
    return content
