"""The event's passphrase, and the signed passes that stand for it: cookies and invite links."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable

from tmpnb.errors import ConfigError
from tmpnb.system.signing import TokenMaker, same

COOKIE = "tmpnb-pass"
BY_PASSPHRASE, BY_INVITE = "passphrase", "invite"
DAY = 86_400  # seconds that a browser need not ask again
SHORTEST, LONGEST = 6, 256  # characters of a passphrase
_NOT_TYPED = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # a form has none of them in one line
LONGEST_INVITE = 366 * 24.0  # hours


class Passes:
    """Makes passes and reads them. Nothing is stored: the key signs, the pass says until when.

    A pass by passphrase ends when the passphrase is changed, an invite only with its time
    or with the key.
    """

    def __init__(
        self, tokens: TokenMaker, passphrase: str = "", now: Callable[[], float] = time.time
    ) -> None:
        """Begin without memory.

        Args:
            tokens: Signs the passes.
            passphrase: What visitors must know; empty: all may come in.
            now: Unix time in seconds.
        """
        self._tokens, self._now = tokens, now
        self._passphrase = _folded(passphrase)

    @property
    def needed(self) -> bool:
        """Whether visitors must know the passphrase or have been invited."""
        return bool(self._passphrase)

    def is_right(self, given: str) -> bool:
        """Whether `given` is the passphrase; surrounding blanks do not matter."""
        if len(given) > LONGEST:  # folding takes the square of its length
            return False
        signed = (self._tokens.sign(f"try:{_folded(text)}") for text in (given, self._passphrase))
        return self.needed and same(*signed)

    def by_passphrase(self) -> str:
        """Return the pass of one who knew it."""
        return self._made(BY_PASSPHRASE, int(self._now()) + DAY)

    def invite(self, hours: float) -> str:
        """Return the token of an invite link.

        Raises:
            ConfigError: That is no time to invite for.
        """
        if not 0 < hours <= LONGEST_INVITE:
            raise ConfigError(f"--hours={hours:g}: an invite lasts up to {LONGEST_INVITE:g} hours")
        return self._made(BY_INVITE, int(self._now() + hours * 3600) + 1)

    def seconds_left(self, given: str) -> int:
        """Return how long a pass lets its holder in; 0 if it does not, or is none."""
        kind, _, rest = given.partition(".")
        until, _, signature = rest.partition(".")
        if kind not in (BY_PASSPHRASE, BY_INVITE) or not (until.isascii() and until.isdigit()):
            return 0
        if len(until) > 15 or not same(signature, self._sign(kind, until)):
            return 0
        return max(0, int(until) - int(self._now()))

    def is_invite(self, given: str) -> bool:
        """Whether a pass is, or was, the token of an invite link; `seconds_left` says which."""
        return given.startswith(f"{BY_INVITE}.")

    def _made(self, kind: str, until: int) -> str:
        return f"{kind}.{until}.{self._sign(kind, str(until))}"

    def _sign(self, kind: str, until: str) -> str:
        known = self._passphrase if kind == BY_PASSPHRASE else ""
        return self._tokens.sign(f"pass:{kind}:{until}:{known}")


def given_passphrase(value: str | None, source: str = "TMPNB_PASSPHRASE") -> str:
    """Return the passphrase that the operator gave; empty if there is none.

    Args:
        value: As given.
        source: Where it is from, for messages.

    Raises:
        ConfigError: It is too short or too long to be one, or nobody could type it.
    """
    if value is None:
        return ""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{source} is not UTF-8") from error
    text = value.strip()
    if _NOT_TYPED.search(text):
        raise ConfigError(f"{source} has a line break, or what cannot be typed; use a few words")
    if len(text) > LONGEST:
        raise ConfigError(f"{source} is longer than {LONGEST} characters; use three or four words")
    if len(_folded(text)) < SHORTEST:
        raise ConfigError(
            f"{source} is shorter than {SHORTEST} characters; use three or four words"
        )
    return text


def _folded(text: str) -> str:
    """Return text so that the same letters, typed on any keyboard, are the same."""
    return unicodedata.normalize("NFKC", text).strip()
