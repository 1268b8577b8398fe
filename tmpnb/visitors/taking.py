"""Take a server or a place in line for a visitor: one of either, however many tabs ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tmpnb.access.limits import Admission
from tmpnb.core.links import Link
from tmpnb.core.server import NotebookServer
from tmpnb.errors import PoolEmptyError, TicketError, VisitorLeftError
from tmpnb.orchestrator.claims.claims import Claims
from tmpnb.orchestrator.claims.line import Ticket
from tmpnb.orchestrator.claims.waiting import Place
from tmpnb.system.http.presence import Presence
from tmpnb.visitors.identity import Fits, Visitor, Visitors


@dataclass(frozen=True, slots=True)
class Wish:
    """What one request of a visitor asks for.

    Attributes:
        wanted: Where on the server they want to be.
        visitor: Who they are, as `Taking.who` says.
        admission: Their leave to take a server.
        presence: Whether they still wait for the answer.
        ticket_id: The place in line that they say they have; may be lost, or empty.
        patience: Seconds to wait for their turn.
        fresh: Whether they want another server than the one they have, which ends.
        server_id: Of the past, for a new server of this id; empty: any server that is ready.
        small: Whether they have little room to see it: a phone, or a frame in a page.
    """

    wanted: Link
    visitor: Visitor
    admission: Admission
    presence: Presence = field(default_factory=Presence)
    ticket_id: str = ""
    patience: float = 0.0
    fresh: bool = False
    server_id: str = ""
    small: bool = False


class Taking:
    """Joins all that one visitor asks for at once: reloads, double clicks, and tabs."""

    def __init__(self, claims: Claims, visitors: Visitors) -> None:
        self._claims, self._visitors = claims, visitors
        self._redeemed: dict[str, Ticket] = {}  # by the id of a server that nobody was told of

    def who(self, visitor: Visitor, ticket_id: str) -> Visitor:
        """Return who a visitor is that shows a ticket.

        A browser that keeps no cookie is known by the ticket alone: by its place while that is
        in line, then by the server that it has become. A cookie goes before any ticket.
        """
        if not visitor.is_new or not self._visitors.holder_of(ticket_id):
            return visitor
        lent = self._visitors.of_ticket(ticket_id)
        if self._claims.return_to(ticket_id) is not None:
            self._visitors.note_ticket(lent, ticket_id)
            return lent
        return lent if self._visitors.has_or_takes(lent) else visitor

    def is_known(self, visitor: Visitor, server_id: str) -> bool:
        """Whether a visitor comes back, to their place in line or to the server they have.

        Args:
            visitor: Whoever asks.
            server_id: That the server is to have; empty for any.
        """
        if self._own_place(visitor) is not None or self._visitors.takes(visitor):
            return True
        server = self._visitors.server_of(visitor)
        return server is not None and server_id in ("", server.id)

    def holds(self, visitor: Visitor) -> bool:
        """Whether there is something to lead a visitor to; asking changes nothing."""
        return self._visitors.has_or_takes(visitor) or self.waits(visitor)

    def has(self, visitor: Visitor, server_id: str) -> bool:
        """Whether a server is the one that a visitor has."""
        server = self._visitors.server_of(visitor)
        return server is not None and server.id == server_id

    def waits(self, visitor: Visitor) -> bool:
        """Whether a visitor has a place in line; asking changes nothing."""
        return self._claims.ticket(self._visitors.ticket_of(visitor)) is not None

    @contextmanager
    def asking(self, wish: Wish) -> Iterator[None]:
        """Know of a request until it is answered."""
        try:
            with self._visitors.asking(wish.visitor, wish.presence):
                yield
        finally:
            for server_id in self._visitors.untold(wish.visitor):
                self._redeemed.pop(server_id, None)
                self._claims.abandon(server_id)

    async def take(self, wish: Wish) -> NotebookServer | Place:
        """Return the visitor's server, or their place in line.

        Raises:
            ClientLimitError: They may take none, and have none.
            LineFullError: None is ready, and too many wait already.
            PoolEmptyError: They want a fresh one, and none is given out for now.
            ServerExistsError: A server of the wished id is alive.
            SpawnerError: A server of its own did not start.
            ProxyError: The proxy does not answer.
            VisitorLeftError: They have hung up.
        """
        has = self._visitors.server_of(wish.visitor)
        # One that nobody knows of yet is the fresh one already.
        old = has if wish.fresh and has and not self._visitors.is_untold(has.id) else None
        fits = _fit(wish, old)
        is_served = has is not None and fits(has)
        ticket = self._place(wish, is_served=is_served)
        if ticket is not None and not is_served:
            return await self._in_turn(wish, ticket, old)
        try:
            server = await self._visitors.server_for(
                wish.visitor, lambda: self._now(wish, old), fits
            )
        except PoolEmptyError:
            # Another tab may have joined the line meanwhile.
            ticket = self._own_place(wish.visitor) or self._queue(wish, old)
        else:
            return self._served(wish, server)
        return await self._in_turn(wish, ticket, old)

    def answered(self, wish: Wish, server: NotebookServer) -> None:
        """Stop a server that a request took, if all who could be led to it have left.

        Who had waited in line for it has the first place again, should they come back.

        Called in one step with sending the answer.
        """
        if wish.server_id:  # kept: who presses the button twice drops the first request
            self._visitors.mark_told(server.id)
        elif self._visitors.is_left(server.id, wish.presence):
            ticket = self._redeemed.pop(server.id, None)
            self._claims.take_back(server.id, ticket)
            if ticket is not None:
                wish.admission.waits_again(ticket)
        elif not wish.presence.left:
            self._redeemed.pop(server.id, None)

    async def _now(self, wish: Wish, old: NotebookServer | None) -> NotebookServer:
        _require(wish.presence)
        closing = old.id if old else ""
        server = await wish.admission.take(lambda: self._claim(wish, None), closing=closing)
        if old is not None and self._visitors.are_all_gone(wish.visitor):
            self._claims.abandon(server.id)  # they know of the old one alone
            raise VisitorLeftError("the visitor has hung up")
        self._end(old)
        self._claims.leave(self._visitors.ticket_of(wish.visitor))  # one of either
        return server

    async def _claim(self, wish: Wish, ticket: Ticket | None) -> NotebookServer:
        if wish.server_id:
            return await self._claims.claim_as(wish.server_id, ticket)
        return await (self._claims.claim_in_turn(ticket) if ticket else self._claims.claim())

    def _own_place(self, visitor: Visitor) -> Ticket | None:
        return self._claims.return_to(self._visitors.ticket_of(visitor))

    def _place(self, wish: Wish, *, is_served: bool) -> Ticket | None:
        """Return the place in line that a visitor has.

        One whose tabs were opened before it had a cookie has several, of which it keeps the
        first. A ticket that is not theirs may be known to others: no server is taken with it.

        Args:
            wish: Theirs.
            is_served: Whether they have a server, and need no place.
        """
        mine, shown = self._own_place(wish.visitor), self._claims.ticket(wish.ticket_id)
        if shown is None or shown is mine:
            return mine
        if is_served:
            self._claims.set_aside(shown)
        elif mine is not None:
            self._claims.take_over(mine, shown)
        return mine

    def _queue(self, wish: Wish, old: NotebookServer | None) -> Ticket:
        _require(wish.presence)
        if old is not None:  # who could not get another keeps the one they have
            self._claims.require_refill()
        closing = old.id if old else ""
        return wish.admission.queue(self._claims.queue, closing=closing)

    async def _in_turn(
        self, wish: Wish, ticket: Ticket, old: NotebookServer | None
    ) -> NotebookServer | Place:
        """Wait with a ticket. Another tab may be served with the same one first."""
        self._visitors.note_ticket(wish.visitor, ticket.id)
        if old is not None:
            self._claims.require_refill()
            self._end(old)
        patience = 0.0 if ticket.is_crowded else wish.patience
        try:
            if await self._claims.until_turn(ticket, patience, wish.presence):
                server = await self._visitors.server_for(
                    wish.visitor, lambda: self._redeem(wish, ticket), _fit(wish, old), ticket.id
                )
                return self._served(wish, server)
        except TicketError:
            return await self._place_anew(wish)
        except PoolEmptyError:
            pass  # the server died on the way; the place is kept
        if wish.presence.left and wish.visitor.is_new:
            self._claims.leave(ticket.id)  # nobody was told of it, nobody can come back to it
            raise VisitorLeftError("the visitor has hung up")
        return self._claims.place(ticket)

    async def _redeem(self, wish: Wish, ticket: Ticket) -> NotebookServer:
        _require(wish.presence)
        server = await wish.admission.redeem(ticket, lambda mine: self._claim(wish, mine))
        self._redeemed = {i: t for i, t in self._redeemed.items() if self._claims.live(i)}
        self._redeemed[server.id] = ticket
        return server

    async def _place_anew(self, wish: Wish) -> NotebookServer | Place:
        """Return what has become of a place that is not in the line any more."""
        await self._visitors.settled(wish.visitor)
        server = self._visitors.server_of(wish.visitor)
        if server is not None and _fit(wish, None)(server):
            return self._served(wish, server)
        ticket = self._own_place(wish.visitor) or self._queue(wish, None)
        self._visitors.note_ticket(wish.visitor, ticket.id)
        return self._claims.place(ticket)

    def _served(self, wish: Wish, server: NotebookServer) -> NotebookServer:
        wish.admission.recognise(server)
        return server

    def _end(self, old: NotebookServer | None) -> None:
        if old is not None and self._claims.live(old.id) is old:
            self._claims.close(old)


def _require(presence: Presence) -> None:
    """Take nothing for one who has left.

    Raises:
        VisitorLeftError: They have.
    """
    if presence.left:
        raise VisitorLeftError("the visitor has hung up")


def _fit(wish: Wish, old: NotebookServer | None) -> Fits:
    """Return whether a server that the visitor has is what they wish for."""
    if wish.server_id:
        return lambda server: server.id == wish.server_id
    return lambda server: server is not old
