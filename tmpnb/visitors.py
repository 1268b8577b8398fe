"""Know a visitor again: a reload or a second tab leads to the server they have already."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tmpnb.server import NotebookServer
from tmpnb.tokens import TokenMaker, same

COOKIE = "tmpnb-visitor"
COOKIE_PATH = "/spawn"  # not /user: no notebook server may ever see it
REMEMBERED = 10_000  # visitors whose latest server is kept in memory beside their cookie


@dataclass(frozen=True, slots=True)
class Visitor:
    """One browser, as its cookie tells.

    Attributes:
        key: Random and secret; the same for all tabs.
        server_id: The server it was given last; empty for none.
    """

    key: str = field(repr=False)
    server_id: str = ""


class Visitors:
    """Reads and writes the cookie, and makes sure that one visitor takes one server.

    The cookie alone is enough after a restart. While we run, memory knows better: two
    tabs that were opened at once send the same old cookie.
    """

    def __init__(self, tokens: TokenMaker, live: Callable[[str], NotebookServer | None]) -> None:
        """Begin without memory.

        Args:
            tokens: Signs the cookie.
            live: Returns a server by its id while a visitor has it.
        """
        self._tokens, self._live = tokens, live
        self._latest: OrderedDict[str, str] = OrderedDict()  # key -> server id
        self._tickets: OrderedDict[str, str] = OrderedDict()  # key -> ticket in line
        self._taking: dict[str, asyncio.Future[None]] = {}  # by key, while a claim is under way

    def read(self, cookie: str | None) -> Visitor:
        """Return who sent the cookie; somebody new if it is absent or not ours."""
        return self._known(cookie or "") or Visitor(secrets.token_urlsafe(16))

    def is_ours(self, cookie: str) -> bool:
        """Whether we signed a cookie."""
        return self._known(cookie) is not None

    def write(self, visitor: Visitor) -> str:
        """Return the cookie's value."""
        signature = self._sign(visitor.key, visitor.server_id)
        return f"{visitor.key}.{visitor.server_id}.{signature}"

    def server_of(self, visitor: Visitor) -> NotebookServer | None:
        """Return the server a visitor has; None if there is none any more."""
        return self._live(self._latest.get(visitor.key) or visitor.server_id)

    def had(self, visitor: Visitor, server_id: str) -> bool:
        """Whether a visitor's cookie says that they were given a server, which may have ended.

        Memory does not count: a browser that has the cookie has had the answer.
        """
        return bool(server_id) and visitor.server_id == server_id

    def note(self, visitor: Visitor, server_id: str) -> Visitor:
        """Keep that a visitor was given a server; return what their cookie is to say."""
        _remember(self._latest, visitor.key, server_id)
        self._tickets.pop(visitor.key, None)
        return Visitor(visitor.key, server_id)

    def forget_server(self, visitor: Visitor) -> Visitor:
        """Return what the cookie of a visitor who starts afresh is to say."""
        self._latest.pop(visitor.key, None)
        return Visitor(visitor.key)

    def ticket_of(self, visitor: Visitor) -> str:
        """Return the ticket of a visitor who waits in line; empty for none."""
        return self._tickets.get(visitor.key, "")

    def note_ticket(self, visitor: Visitor, ticket_id: str) -> None:
        """Keep that a visitor waits in line, for their other tabs and for a reload."""
        _remember(self._tickets, visitor.key, ticket_id)

    async def server_for(
        self, visitor: Visitor, take: Callable[[], Awaitable[NotebookServer]]
    ) -> NotebookServer:
        """Return the server a visitor has, else what `take` returns, which is noted.

        A second request of the same visitor waits for the first.
        """
        while (under_way := self._taking.get(visitor.key)) is not None:
            await asyncio.wait([under_way])
        server = self.server_of(visitor)
        if server is not None:
            return server
        done = self._taking[visitor.key] = asyncio.get_running_loop().create_future()
        try:
            server = await take()
        finally:
            del self._taking[visitor.key]
            done.set_result(None)
        self.note(visitor, server.id)
        return server

    def _known(self, cookie: str) -> Visitor | None:
        key, _, rest = cookie.partition(".")
        server_id, _, signature = rest.partition(".")
        if key and same(signature, self._sign(key, server_id)):
            return Visitor(key, server_id)
        return None

    def _sign(self, key: str, server_id: str) -> str:
        return self._tokens.sign(f"visitor:{key}:{server_id}")


def _remember(memory: OrderedDict[str, str], key: str, value: str) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)
