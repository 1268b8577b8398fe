"""The operator's secrets: in environment variables, or in files they name."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tmpnb import plain_file
from tmpnb.errors import ConfigError
from tmpnb.plain_file import FileTooLargeError, NoPlainFileError
from tmpnb.plain_text import NoTextError, decoded

BY_FILE = "_FILE"  # behind the name of a variable: of the one that names a file
PROXY_TOKEN = "CONFIGPROXY_AUTH_TOKEN"  # noqa: S105 - the name of a variable
VARIABLES = (
    PROXY_TOKEN,
    "API_AUTH_TOKEN",
    "ADMIN_AUTH_TOKEN",
    "TMPNB_SECRET_KEY",
    "TMPNB_PASSPHRASE",
)
TOKENS = VARIABLES[:3]  # what programs send in a header
LARGEST = 4096  # bytes of a file that holds a secret
SHORTEST = 16  # characters of the proxy's token in a file, which tmpnb may have made
AS_MADE = 0o444  # the mode of that file: the proxy may run as another user
OTHERS = stat.S_IRGRP | stat.S_IROTH
# Where engines mount secrets, for one container alone, and systemd credentials, for one unit alone.
GUARDED = frozenset({PurePosixPath("/run/secrets"), PurePosixPath("/run/credentials")})


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets, which have no flags, so that they appear in no process list.

    Attributes:
        proxy_token_file: Where the proxy's token is, or will be once someone has made one.
        files: Which of them came from a file, by the names of their variables.
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
        named = {name: environ.get(f"{name}{BY_FILE}", "") for name in VARIABLES}
        files = {name: Path(file) for name, file in named.items() if file}
        given = {name: environ.get(name) or None for name in VARIABLES}
        token_file = files.pop(PROXY_TOKEN, None)
        for name, file in files.items():
            if given[name] is not None:
                raise ConfigError(f"{name} and {name}{BY_FILE} are both set; unset one of them")
            given[name] = read(name, file)
        if token_file and given[PROXY_TOKEN] is None and _is_there(token_file):
            given[PROXY_TOKEN] = proxy_token_in(token_file)
            files[PROXY_TOKEN] = token_file
        for name in TOKENS:
            _check_token(name, f"{name}{BY_FILE}" if name in files else name, given[name])
        return cls(
            proxy_token=given[PROXY_TOKEN],
            proxy_token_file=token_file,
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
        """Yield the files that other users of this machine can read."""
        for name, file in self.files.items():
            try:
                mode = stat.S_IMODE(file.stat().st_mode)
            except OSError:
                continue  # gone since; what was read counts
            is_ours = name == PROXY_TOKEN and mode == AS_MADE
            is_guarded = not GUARDED.isdisjoint(PurePosixPath(file.absolute()).parents)
            if mode & OTHERS and not is_ours and not is_guarded:
                yield file


def proxy_token_in(path: Path) -> str:
    """Return the proxy's token in a file.

    Raises:
        ConfigError: It holds none.
    """
    token = read(PROXY_TOKEN, path)
    if len(token) < SHORTEST:
        raise ConfigError(
            f"{PROXY_TOKEN}{BY_FILE}={path} is shorter than {SHORTEST} characters; "
            "remove the file to have a new one generated, or write a longer one into it"
        )
    return token


def _is_there(path: Path) -> bool:
    """Whether something with this name exists, even if unusable; a broken link counts."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # reading it says why it is of no use
    return True


def _check_token(name: str, where: str, token: str | None) -> None:
    """Check that a program can send a token: `Authorization: token …`.

    Raises:
        ConfigError: None can. The message says nothing of what it is.
    """
    if token is None:
        return
    if token != token.strip():
        raise ConfigError(
            f"{where} starts or ends with whitespace, so that nobody could send it; "
            "remove the whitespace"
        )
    splits = name == PROXY_TOKEN and " " in token  # the proxy reads up to a blank
    if splits or not (token.isascii() and token.isprintable()):
        raise ConfigError(
            f"{where} contains a space or characters that a header cannot carry; use "
            "letters and digits, for example from: openssl rand -hex 32"
        )


def read(name: str, path: Path) -> str:
    """Return the secret in a file, without surrounding whitespace.

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
        raise ConfigError(f"{where} has more than one line, or characters that cannot be typed")
    return text


def _content(path: Path) -> bytes:
    """Return the bytes of a file without blocking, whatever it is.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no file with content, or too large.
    """
    try:
        return plain_file.read(path, LARGEST)
    except NoPlainFileError:
        raise ValueError("is not a file with a secret") from None
    except FileTooLargeError as error:
        raise ValueError(f"is {error.strerror}, too large for a secret") from None
