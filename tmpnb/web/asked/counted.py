"""What counts requests that take long as their client's, while they are being answered."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from tornado.web import RequestHandler

from tmpnb.access.client_address import Client
from tmpnb.access.gate import Gate
from tmpnb.system.signing import same


class CountedHandler(RequestHandler):
    """A request that counts as under way until it is answered, or nobody waits for it.

    Attributes:
        lasting: The methods whose answer may take its time. No other counts: it would lock out
            all who share an address, and holds nothing.
    """

    lasting: frozenset[str] = frozenset()

    gate: Gate  # set in `initialize`
    _counted: Client | None = None

    def prepare(self) -> Awaitable[None] | None:
        """Count it if it may take long.

        Raises:
            ClientLimitError: The client has as many under way as one may.
        """
        if self.request.method not in self.lasting:
            return None
        forwarded = self.request.headers.get("X-Forwarded-For", "")
        client = self.gate.bounded(self.request.remote_ip or "", forwarded)
        if client is not None and not self.is_free():
            self.gate.limits.asks(client)
            self._counted = client
        return None

    def has_token(self, expected: str | None) -> bool:
        """Whether there is such a token, and the request has it."""
        scheme, _, given = self.request.headers.get("Authorization", "").partition(" ")
        if expected is None or scheme.lower() not in ("token", "bearer"):
            return False
        return same(given.strip(" \t"), expected)

    def is_free(self) -> bool:
        """Whether it counts for nobody."""
        return False

    async def _execute(self, *args: Any, **kwargs: Any) -> None:
        """Answer it; count it no more, however that ends.

        Tornado calls `on_finish` neither after a body that breaks off nor after `detach`.
        """
        try:
            await super()._execute(*args, **kwargs)
        finally:
            self._uncount()

    def on_finish(self) -> None:
        """Count it no more."""
        self._uncount()

    def on_connection_close(self) -> None:
        """Count it no more: nobody waits for it."""
        super().on_connection_close()
        self._uncount()

    def _uncount(self) -> None:
        if self._counted is not None:
            self.gate.limits.asked(self._counted)
            self._counted = None
