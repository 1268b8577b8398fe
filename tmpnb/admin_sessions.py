"""Who is logged in at the operator's page: a signed cookie, and the forms that belong to it.

Nothing is stored. What is signed depends on ADMIN_AUTH_TOKEN, which a cookie does not hold: with
another token, all sessions are over.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from tmpnb.tokens import TokenMaker, same

LONGEST = 12 * 3600  # seconds of a session
_SESSION = re.compile(r"([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")


class AdminSessions:
    """Makes sessions, and knows its own."""

    def __init__(
        self, tokens: TokenMaker, admin_token: str | None, clock: Callable[[], float]
    ) -> None:
        """Keep what is needed.

        Args:
            tokens: Signs.
            admin_token: The operator's; None: who reaches the port is the operator.
            clock: Unix time in seconds.
        """
        self._tokens, self._admin_token, self._clock = tokens, admin_token or "", clock

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
        return same(signed, self._sign("session", begun, nonce)) and -60 < age < LONGEST

    def form_of(self, session: str) -> str:
        """Return what a form of a session's page has to send, which no other page can know."""
        return self._sign("form", session)

    def is_form_of(self, session: str, text: str) -> bool:
        """Whether a form is of a session's page."""
        return same(text, self.form_of(session))

    def _sign(self, *parts: str) -> str:
        return self._tokens.sign("\n".join(("operator", self._admin_token, *parts)))
