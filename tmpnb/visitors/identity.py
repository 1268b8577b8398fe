"""Know a visitor again: a reload or a second tab leads to the server they have already."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from tmpnb.access.ties import VISITOR, Sealed, Ties
from tmpnb.core.server import NotebookServer
from tmpnb.errors import ClientLimitError
from tmpnb.system.http.presence import Presence
from tmpnb.system.signing import TokenMaker, same

COOKIE = "tmpnb-visitor"
COOKIE_PATH = "/spawn"  # not /user: no notebook server may ever see it
# Requests of one visitor that wait for a server which another of theirs takes: as many as frames
# in one article may ask at once, and less than half of those of an address.
MOST_JOINED = 24
RETRY_WHEN_JOINED = 5  # seconds
TOO_MANY_PAGES = "Too many pages of yours wait for your notebook. Close the others."
REMEMBERED = 10_000  # visitors whose latest server is kept in memory beside their cookie

T = TypeVar("T")
Fits = Callable[[NotebookServer], bool]


@dataclass(frozen=True, slots=True)
class Visitor:
    """One browser, as its cookie tells.

    Attributes:
        key: Random and secret; the same for all tabs.
        server_id: The server it was given last; empty for none.
        is_new: Whether the key was made for this very request.
        is_lent: Whether they are known by a ticket or a token alone, which others may show as
            well: good for what that stands for, and never for what comes later.
        ties: Of the networks in which the cookie counts; none if it is older than those.
    """

    key: str = field(repr=False)
    server_id: str = ""
    is_new: bool = field(default=False, compare=False)
    is_lent: bool = field(default=False, compare=False)
    ties: tuple[str, ...] = field(default=(), compare=False, repr=False)


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
        self._tokens, self._live, self._ties = tokens, live, Ties(tokens)
        self._latest: OrderedDict[str, str] = OrderedDict()  # key -> server id
        self._tickets: OrderedDict[str, str] = OrderedDict()  # key -> ticket in line
        self._holders: OrderedDict[str, str] = OrderedDict()  # ticket in line -> key
        self._joined_from: OrderedDict[str, str] = OrderedDict()  # ticket in line -> network
        self._taking: dict[str, asyncio.Future[None]] = {}  # by key, while a claim is under way
        self._asking: dict[str, list[Presence]] = {}  # by key, requests without an answer yet
        # Servers by id that nobody was told of, and the keys of all who will be.
        self._unseen: OrderedDict[str, frozenset[str]] = OrderedDict()

    def read(self, cookie: str | None) -> Visitor:
        """Return whom a cookie names, also one that does not count in the network it came from.

        Somebody new if it is absent or not ours.
        """
        return self._known(cookie or "") or Visitor(_new_key(), is_new=True)

    def is_ours(self, cookie: str) -> bool:
        """Whether we signed a cookie."""
        return self._known(cookie) is not None

    def is_at_home(self, visitor: Visitor, network: str) -> bool:
        """Whether whom a cookie names has been in a network before, by the word of the cookie.

        Else somebody may have planted it: all servers of one host can set cookies for it.
        """
        return self._ties.counts(VISITOR, visitor.ties, network)

    def write(self, visitor: Visitor, network: str = "") -> str:
        """Return the cookie's value.

        Args:
            visitor: Whom it names.
            network: Where it shall count as well. Empty, or for one who is lent: nowhere more, so
                that its browser is asked first.
        """
        ties = visitor.ties
        if network and not visitor.is_lent:
            ties = self._ties.added(VISITOR, ties, network)
        return self._ties.seal(VISITOR, Sealed(f"{visitor.key}.{visitor.server_id}", ties))

    def server_of(self, visitor: Visitor) -> NotebookServer | None:
        """Return the server a visitor has, also one that their place in line has become."""
        own = self._live(self._latest.get(visitor.key) or visitor.server_id)
        return own or self._live(self._latest.get(_place_key(self.ticket_of(visitor)), ""))

    def had(self, visitor: Visitor, server_id: str) -> bool:
        """Whether a visitor's cookie says that they were given a server, which may have ended.

        Memory does not count: a browser that has the cookie has had the answer.
        """
        return bool(server_id) and visitor.server_id == server_id

    def note(self, visitor: Visitor, server_id: str, *, is_theirs: bool = False) -> Visitor:
        """Keep that a visitor was given a server; return what their cookie is to say.

        Args:
            visitor: Who; one who is lent stays so, for a script may have shown the token.
            server_id: Of the server.
            is_theirs: Whether it became of a place in line that was given to their network.
        """
        key = _new_key() if visitor.is_lent else visitor.key
        _remember(self._latest, key, server_id)
        self._tickets.pop(key, None)
        is_lent = visitor.is_lent and not is_theirs
        return Visitor(key, server_id, is_lent=is_lent, ties=visitor.ties)

    def forget_server(self, visitor: Visitor) -> Visitor:
        """Return what the cookie of a visitor who starts fresh is to say."""
        self._latest.pop(visitor.key, None)
        return Visitor(visitor.key, ties=visitor.ties)

    def ticket_of(self, visitor: Visitor) -> str:
        """Return the ticket of a visitor who waits in line; empty for none."""
        return self._tickets.get(visitor.key, "")

    def note_ticket(self, visitor: Visitor, ticket_id: str) -> None:
        """Keep that a visitor waits in line, for their other tabs and for a reload."""
        _remember(self._tickets, visitor.key, ticket_id)
        if not (visitor.is_lent and self.holder_of(ticket_id)):
            _remember(self._holders, ticket_id, visitor.key)

    def note_network(self, ticket_id: str, network: str) -> None:
        """Keep in which network a ticket was given out first."""
        if ticket_id not in self._joined_from:
            _remember(self._joined_from, ticket_id, network)

    def was_given_to(self, network: str, visitor: Visitor, ticket_id: str) -> bool:
        """Whether a visitor is known by a ticket, which was given out in a network first."""
        is_known_by_it = visitor.key == _place_key(ticket_id)
        return is_known_by_it and self._joined_from.get(ticket_id) == network

    def holder_of(self, ticket_id: str) -> str:
        """Return the key of the visitor who was given a ticket; empty if it is none of ours."""
        return self._holders.get(ticket_id, "")

    def of_ticket(self, ticket_id: str) -> Visitor:
        """Return who is known by a ticket alone."""
        return Visitor(_place_key(ticket_id), is_lent=True)

    @contextmanager
    def asking(self, visitor: Visitor, presence: Presence) -> Iterator[None]:
        """Know of one request of a visitor until it is answered."""
        requests = self._asking.setdefault(visitor.key, [])
        requests.append(presence)
        try:
            yield
        finally:
            requests.remove(presence)
            if not requests:
                del self._asking[visitor.key]

    def is_left(self, server_id: str, presence: Presence) -> bool:
        """Whether a server was taken and all who could be told of it have hung up.

        Args:
            server_id: The server that a request is answered with now.
            presence: Whether they are there to read it; then it counts as told.
        """
        if not presence.left:
            self.mark_told(server_id)
            return False
        keys = self._unseen.get(server_id)
        if keys is None or not self._are_gone(keys):
            return False
        del self._unseen[server_id]
        return True

    def are_all_gone(self, visitor: Visitor) -> bool:
        """Whether all requests of a visitor that have no answer yet have hung up."""
        return self._are_gone([visitor.key])

    def is_untold(self, server_id: str) -> bool:
        """Whether nobody knows yet of a server that was taken."""
        return server_id in self._unseen

    def mark_told(self, server_id: str) -> None:
        """Keep that somebody knows of a server, or will come back to it."""
        self._unseen.pop(server_id, None)

    def untold(self, visitor: Visitor) -> list[str]:
        """Return the servers taken for a visitor whom nobody is left to tell of; once."""
        found = [
            server_id
            for server_id, keys in self._unseen.items()
            if visitor.key in keys and not any(key in self._asking for key in keys)
        ]
        for server_id in found:
            del self._unseen[server_id]
        return found

    def takes(self, visitor: Visitor) -> bool:
        """Whether a visitor is being given a server."""
        return visitor.key in self._taking

    def has_or_takes(self, visitor: Visitor) -> bool:
        """Whether a visitor has a server, or is being given one."""
        return self.takes(visitor) or self.server_of(visitor) is not None

    async def settled(self, visitor: Visitor) -> None:
        """Return once no claim of a visitor is under way.

        Raises:
            ClientLimitError: More requests of theirs than `MOST_JOINED` have no answer yet.
        """
        requests = self._asking.get(visitor.key, ())
        if self.takes(visitor) and sum(not r.left for r in requests) > MOST_JOINED:
            raise ClientLimitError(TOO_MANY_PAGES, RETRY_WHEN_JOINED)
        while (under_way := self._taking.get(visitor.key)) is not None:
            await asyncio.wait([under_way])

    async def server_for(
        self,
        visitor: Visitor,
        take: Callable[[], Awaitable[NotebookServer]],
        fits: Fits = lambda _: True,
        ticket_id: str = "",
    ) -> NotebookServer:
        """Return the server a visitor has if it `fits`, else what `take` returns, which is noted.

        A second request of the same visitor waits for the first, as does one that shows the
        same ticket.

        Args:
            visitor: Whose.
            take: Takes a server.
            fits: Whether the one they have is what they wish for.
            ticket_id: Of the place in line that becomes the server; empty for none.

        Raises:
            ClientLimitError: As `settled` does.
        """
        await self.settled(visitor)
        server = self.server_of(visitor)
        if server is not None and fits(server):
            return server
        theirs = {visitor.key, _place_key(ticket_id)} if ticket_id else {visitor.key}
        keys = frozenset(theirs | self._holder_in_line(ticket_id))
        done = asyncio.get_running_loop().create_future()
        self._taking |= dict.fromkeys(keys, done)
        try:
            server = await take()
            for key in theirs:
                _remember(self._latest, key, server.id)
            _remember(self._unseen, server.id, keys)
        finally:
            self._taking = {k: d for k, d in self._taking.items() if d is not done}
            done.set_result(None)
        return server

    def _holder_in_line(self, ticket_id: str) -> set[str]:
        """Return the key of whoever has a place in line, as long as it is their latest."""
        key = self.holder_of(ticket_id)
        return {key} if key and self._tickets.get(key) == ticket_id else set()

    def _are_gone(self, keys: Iterable[str]) -> bool:
        requests = (request for key in keys for request in self._asking.get(key, ()))
        return all(request.left for request in requests)

    def _known(self, cookie: str) -> Visitor | None:
        sealed = self._ties.open(VISITOR, cookie)
        if sealed is not None:
            key, _, server_id = sealed.value.partition(".")
            return Visitor(key, server_id, ties=sealed.ties)
        key, _, rest = cookie.partition(".")  # as before there were ties
        server_id, _, signature = rest.partition(".")
        if key and same(signature, self._tokens.sign(f"visitor:{key}:{server_id}")):
            return Visitor(key, server_id)
        return None


def _new_key() -> str:
    return secrets.token_urlsafe(16)


def _place_key(ticket_id: str) -> str:
    """Return the key of all who are known by a ticket alone."""
    return f"ticket-{ticket_id}"


def _remember(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)
