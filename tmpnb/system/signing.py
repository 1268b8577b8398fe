"""The secret key, the tokens made from it, and how tokens are compared."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from tmpnb.errors import ConfigError
from tmpnb.system.files import plain_file
from tmpnb.system.files.plain_text import NoTextError

LARGEST = 4096  # bytes of a file that holds a secret
SHORTEST_KEY = 16  # characters
LOWER_CASE = "abcdefghijklmnopqrstuvwxyz0123456789"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class TokenMaker:
    """Makes each server's secret from the key and its id, so that nothing is stored."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token_for(self, server_id: str) -> str:
        """Return the token of a server: 64 hex digits, the same after every restart."""
        return self.sign(f"server:{server_id}")

    def sign(self, text: str) -> str:
        """Return 64 hex digits that only who has the key can make of `text`."""
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def load_key(state_dir: Path, given: str | None, source: str = "TMPNB_SECRET_KEY") -> bytes:
    """Return the secret key: as given, else from a 0600 file, made if absent.

    Args:
        state_dir: Where that file is.
        given: By the operator.
        source: Where that is from, for messages.

    Raises:
        ConfigError: The key is too short, or the file cannot be read or made.
    """
    if given is not None:
        if len(given) < SHORTEST_KEY:
            raise ConfigError(
                f"{source} is shorter than {SHORTEST_KEY} characters; "
                "make one with: openssl rand -hex 32"
            )
        return os.fsencode(given)
    return secret_file(state_dir / "secret_key", mode=0o600).encode()


def secret_file(path: Path, mode: int) -> str:
    """Return the secret a file holds; a random one is written when there is no file.

    Raises:
        ConfigError: It cannot be read or made, or holds less than a secret.
    """
    try:
        make_secret(path, mode)
        secret = plain_file.text(path, LARGEST).strip()
    except NoTextError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise ConfigError(f"cannot keep a secret in {path}: {error}; see --state-dir") from error
    if len(secret) < SHORTEST_KEY:
        raise ConfigError(f"{path} holds no secret (shorter than {SHORTEST_KEY}); remove the file")
    return secret


def make_secret(path: Path, mode: int) -> None:
    """Write a random secret into a file, unless it is there.

    Raises:
        OSError: It cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _write_once(path, mode)


def _write_once(path: Path, mode: int) -> None:
    """Write a random secret; another process that is faster wins, a reader sees it whole."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), mode)
            file.write(secrets.token_hex(32) + "\n")
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def new_id(length: int, alphabet: str = ALPHABET) -> str:
    """Return a random server id of letters and digits."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


def is_id(text: str, length: int, alphabet: str = ALPHABET) -> bool:
    """Whether `new_id` of the same arguments could have made a text."""
    return len(text) == length and all(character in alphabet for character in text)


def same(given: str, expected: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())
