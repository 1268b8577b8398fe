"""Who is logged in at the operator's page: a signed cookie, and the forms that belong to it.

Only the sessions that were ended by hand are kept, in memory. What is signed depends on
ADMIN_AUTH_TOKEN, which a cookie does not hold: with another token, all sessions are over.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable

from tmpnb.system.signing import TokenMaker, same

LONGEST = 12 * 3600  # seconds of a session
MOST_ENDED = 1000  # sessions that are known to have ended
_SESSION = re.compile(r"([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")


class EndedSessions:
    """The sessions that were ended by hand and whose time is not over, in bounded memory.

    Of more than `MOST_ENDED` the first is forgotten, and what began no later than that is over.
    """

    def __init__(self) -> None:
        self._begun: OrderedDict[str, int] = OrderedDict()  # nonce -> Unix time in seconds
        self._over_until = -1  # what began then or before is over

    def __len__(self) -> int:
        return len(self._begun)

    def add(self, nonce: str, begun: int, now: float) -> None:
        """Keep that a session has ended, and forget those whose time is over."""
        for old in [n for n, at in self._begun.items() if now - at >= LONGEST]:
            del self._begun[old]
        self._begun[nonce] = begun
        while len(self._begun) > MOST_ENDED:
            _, at = self._begun.popitem(last=False)
            self._over_until = max(self._over_until, at)

    def have(self, nonce: str, begun: int) -> bool:
        """Whether a session has ended."""
        return nonce in self._begun or begun <= self._over_until


class AdminSessions:
    """Makes sessions, and knows its own."""

    def __init__(
        self,
        tokens: TokenMaker,
        admin_token: str | None,
        clock: Callable[[], float],
        ended: EndedSessions | None = None,
    ) -> None:
        """Keep what is needed.

        Args:
            tokens: Signs.
            admin_token: The operator's; None: who reaches the port is the operator.
            clock: Unix time in seconds.
            ended: Those that were ended by hand; kept by who makes this.
        """
        self._tokens, self._admin_token, self._clock = tokens, admin_token or "", clock
        self._ended = EndedSessions() if ended is None else ended

    def begin(self) -> str:
        """Return a new session, for a cookie."""
        begun, nonce = str(int(self._clock())), secrets.token_hex(16)
        return f"{begun}.{nonce}.{self._sign('session', begun, nonce)}"

    def is_ours(self, session: str) -> bool:
        """Whether a cookie is a session that is not over."""
        found = _SESSION.fullmatch(session)
        if found is None:
            return False
        begun, nonce, signed = found.groups()
        age = self._clock() - int(begun)
        is_signed = same(signed, self._sign("session", begun, nonce))
        return is_signed and -60 < age < LONGEST and not self._ended.have(nonce, int(begun))

    def end(self, session: str) -> None:
        """Have a session be over, in whatever browser its cookie is."""
        if self.is_ours(session):
            begun, nonce, _ = session.split(".")
            self._ended.add(nonce, int(begun), self._clock())

    def form_of(self, session: str) -> str:
        """Return what a form of a session's page has to send, which no other page can know."""
        return self._sign("form", session)

    def is_form_of(self, session: str, text: str) -> bool:
        """Whether a form is of a session's page."""
        return same(text, self.form_of(session))

    def _sign(self, *parts: str) -> str:
        return self._tokens.sign("\n".join(("operator", self._admin_token, *parts)))
