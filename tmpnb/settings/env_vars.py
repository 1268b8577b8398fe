"""The secrets that an operator gives: in the environment, or in files that it names."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tmpnb.core.secret_names import PROXY_TOKEN, TOKENS, VARIABLES
from tmpnb.errors import ConfigError
from tmpnb.proxy.token import AS_MADE, proxy_token_in
from tmpnb.system.files.secret_file import BY_FILE, read

OTHERS = stat.S_IRGRP | stat.S_IROTH
# Where engines mount secrets, for one container alone, and systemd credentials, for one unit alone.
GUARDED = frozenset({PurePosixPath("/run/secrets"), PurePosixPath("/run/credentials")})


@dataclass(frozen=True, slots=True)
class Secrets:
    """What comes by no flag, so that it is in no process list.

    Attributes:
        proxy_token_file: Where the proxy's token is, or will be once somebody has made one.
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
                raise ConfigError(f"{name} and {name}{BY_FILE} are both set; leave one of them out")
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
        """Yield the files that other users of the machine can read."""
        for name, file in self.files.items():
            try:
                mode = stat.S_IMODE(file.stat().st_mode)
            except OSError:
                continue  # gone since; what was read counts
            is_ours = name == PROXY_TOKEN and mode == AS_MADE
            is_guarded = not GUARDED.isdisjoint(PurePosixPath(file.absolute()).parents)
            if mode & OTHERS and not is_ours and not is_guarded:
                yield file


def _is_there(path: Path) -> bool:
    """Whether there is something by this name, which may be of no use; a link to nothing is."""
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
            f"{where} begins or ends with a blank, so that nobody could send it; leave that out"
        )
    splits = name == PROXY_TOKEN and " " in token  # the proxy reads up to a blank
    if splits or not (token.isascii() and token.isprintable()):
        raise ConfigError(
            f"{where} has a blank, or characters that a header cannot carry; make one of letters "
            "and digits, as with: openssl rand -hex 32"
        )
