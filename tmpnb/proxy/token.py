"""The token of a proxy that tmpnb does not start: given, in a file, or to be made there."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tmpnb.core.secret_names import PROXY_TOKEN
from tmpnb.errors import ConfigError
from tmpnb.system.files.secret_file import BY_FILE, read
from tmpnb.system.signing import make_secret

SHORTEST = 16  # characters of the proxy's token in a file, which tmpnb may have made
AS_MADE = 0o444  # the mode of that file: the proxy may run as another user


class GivenToken(Protocol):
    """What an operator gave of the proxy's token."""

    @property
    def proxy_token(self) -> str | None:
        """The token itself."""
        ...

    @property
    def proxy_token_file(self) -> Path | None:
        """Where it is, or will be once somebody has made one."""
        ...


def proxy_token_in(path: Path) -> str:
    """Return the proxy's token in a file.

    Raises:
        ConfigError: It holds none.
    """
    token = read(PROXY_TOKEN, path)
    if len(token) < SHORTEST:
        raise ConfigError(
            f"{PROXY_TOKEN}{BY_FILE}={path} is shorter than {SHORTEST} characters; "
            "remove the file, and one is made, or write a longer one into it"
        )
    return token


def token_of(given: GivenToken) -> str | None:
    """Return the token of a proxy that tmpnb does not start, if there is to be one.

    Raises:
        ConfigError: There is to be a file with one, and it cannot be made.
    """
    if given.proxy_token is None and given.proxy_token_file is not None:
        return _made(given.proxy_token_file)
    return given.proxy_token


def _made(file: Path) -> str:
    """Return the token that was written into a file just now, by us or by who was faster.

    Raises:
        ConfigError: There is none.
    """
    try:
        make_secret(file, AS_MADE)
    except OSError as error:
        raise ConfigError(
            f"{PROXY_TOKEN}{BY_FILE}={file}: cannot be made: {error.strerror}"
        ) from error
    return proxy_token_in(file)
