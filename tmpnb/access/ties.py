"""Tie a cookie to the networks of its browser: elsewhere it stands for nobody. Pure.

All servers and our own pages may share one origin, so any of them can set any cookie. What it
cannot choose is the network that a request comes from. Nor does it learn from a cookie that it sees
who shares a network, for each tie has a salt of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tmpnb.system.signing import TokenMaker, same

MOST = 4  # networks in which one cookie counts; the latest
DIGITS = 16  # hex digits of a tie's digest, and of the salt before it

VISITOR, PASS, TERMS, SESSION, OFFER = "visitor", "pass", "terms", "session", "offer"


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a cookie of ours says.

    Attributes:
        value: What it was made for.
        ties: Of the networks in which it counts; the latest last.
    """

    value: str = field(repr=False)
    ties: tuple[str, ...] = ()


class Ties:
    """Signs what cookies say, together with the networks in which they count."""

    def __init__(self, tokens: TokenMaker) -> None:
        """Keep the key.

        Args:
            tokens: Signs cookies, and makes ties: digests that tell nobody else the network.
        """
        self._tokens = tokens

    def seal(self, kind: str, sealed: Sealed) -> str:
        """Return the value of a cookie, or of a field of a form."""
        tail = "".join(f"-{tie}" for tie in sealed.ties)
        return f"{sealed.value}.{self._sign(kind, sealed.value, tail)}{tail}"

    def open(self, kind: str, text: str) -> Sealed | None:
        """Return what `seal` was given; None if we did not seal it for this kind."""
        value, _, rest = text.rpartition(".")
        signature, dash, ties = rest.partition("-")
        if not same(signature, self._sign(kind, value, f"{dash}{ties}")):
            return None
        return Sealed(value, tuple(ties.split("-")) if ties else ())

    def counts(self, kind: str, ties: Iterable[str], network: str) -> bool:
        """Whether one of some ties is that of a network."""
        return any(self._is_of(tie, kind, network) for tie in ties)

    def added(self, kind: str, ties: Sequence[str], network: str) -> tuple[str, ...]:
        """Return ties with that of one network more, without the oldest of too many.

        Args:
            kind: Of the cookie; ties of one kind mean nothing in another.
            ties: That it has.
            network: As limits count clients: an IPv4 address, or a /64 of IPv6.
        """
        found = [tie for tie in ties if self._is_of(tie, kind, network)]
        now = found or [self._tie(kind, network, secrets.token_hex(DIGITS // 2))]
        return (*(tie for tie in ties if tie not in found), *now)[-MOST:]

    def _is_of(self, tie: str, kind: str, network: str) -> bool:
        return same(tie, self._tie(kind, network, tie[:DIGITS]))

    def _tie(self, kind: str, network: str, salt: str) -> str:
        return salt + self._tokens.sign(f"network\n{kind}\n{salt}\n{network}")[:DIGITS]

    def _sign(self, kind: str, value: str, tail: str) -> str:
        return self._tokens.sign(f"sealed\n{kind}\n{value}\n{tail}")
