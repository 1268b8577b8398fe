"""The line of visitors who wait for a server: who is next, and how long it takes. Synchronous."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from tmpnb.errors import LineFullError, TicketError

GRACE = 30.0  # seconds a place is kept for somebody who reloads or polls
LOOK_EVERY = 0.5  # seconds between looks for places whose time is over
REMEMBERED = 20  # admissions the pace is taken from
MOST_WAITS = 8  # requests that are held with one ticket, of the 64 or more of an address


@dataclass(slots=True)
class Ticket:
    """One place in the line. Times in Unix seconds."""

    id: str  # secret: who has it, has the place
    joined_at: float
    seen_at: float
    waits: int = 0  # requests that wait with it right now
    left: bool = False  # whether the last of those hung up: no server is kept for it meanwhile
    aside: bool = False  # whether one who has another place showed it: it counts for nobody

    @property
    def is_crowded(self) -> bool:
        """Whether no more requests are held with it, but answered at once."""
        return self.waits >= MOST_WAITS


class Line:
    """First come, first served; who is gone for longer than `GRACE` loses the place.

    Whoever has hung up keeps the place for as long, but those behind do not wait for them.
    """

    def __init__(self, clock: Callable[[], float], longest: int) -> None:
        """Begin with nobody.

        Args:
            clock: Unix time in seconds.
            longest: How many may wait.
        """
        self._clock, self._longest = clock, longest
        self._tickets: dict[str, Ticket] = {}  # in the order in which they came
        self._admitted: deque[float] = deque(maxlen=REMEMBERED)  # when the last ones were
        self._look_at = 0.0

    def __len__(self) -> int:
        return sum(not ticket.aside for ticket in self._tickets.values())

    def __iter__(self) -> Iterator[Ticket]:
        return iter(tuple(self._tickets.values()))

    @property
    def present(self) -> int:
        """How many wait, or are about to come back: all but those who have hung up."""
        return sum(_counts(ticket) for ticket in self._tickets.values())

    def find(self, ticket_id: str) -> Ticket | None:
        """Return the ticket of this id if it still has a place."""
        self.forget_gone()
        return self._tickets[ticket_id] if self._has_place(ticket_id) else None

    def among(self, ticket_ids: Collection[str]) -> set[str]:
        """Return those of some ids that stand for a place, or can again: set aside as well."""
        self.forget_gone()
        return {ticket_id for ticket_id in ticket_ids if ticket_id in self._tickets}

    def join(self) -> Ticket:
        """Take the place at the end.

        Raises:
            LineFullError: As many wait as may.
        """
        self.forget_gone()
        if len(self._tickets) >= self._longest:
            raise LineFullError("too many are waiting already")
        now = self._clock()
        ticket = Ticket(secrets.token_urlsafe(16), joined_at=now, seen_at=now)
        self._tickets[ticket.id] = ticket
        return ticket

    def swap(self, one: Ticket, other: Ticket) -> None:
        """Let two tickets change places."""
        other_of = {one.id: other, other.id: one}
        swapped = (other_of.get(t.id, t) for t in self._tickets.values())
        self._tickets = {t.id: t for t in swapped}

    def set_aside(self, ticket: Ticket) -> None:
        """Let a place count no more, unless its holder comes back to it in time."""
        ticket.aside = True

    def return_to(self, ticket_id: str) -> Ticket | None:
        """Return the ticket of this id if it still has a place, also one that was set aside."""
        self.forget_gone()
        ticket = self._tickets.get(ticket_id)
        if ticket is not None:
            ticket.aside = False
        return ticket

    def arrive(self, ticket: Ticket) -> None:
        """Note that somebody waits with a ticket."""
        ticket.waits += 1
        ticket.left = False

    def depart(self, ticket: Ticket, *, left: bool = False) -> None:
        """Note that somebody waits no more; the place is kept for a while.

        Args:
            ticket: Theirs.
            left: Whether they hung up before they had an answer.
        """
        ticket.waits -= 1
        ticket.left = left and not ticket.waits
        ticket.seen_at = self._clock()

    def admit(self, ticket: Ticket) -> None:
        """Let one go through."""
        self._tickets.pop(ticket.id, None)
        self._admitted.append(self._clock())

    def leave(self, ticket_id: str) -> None:
        """Give up a place."""
        self._tickets.pop(ticket_id, None)

    def put_back(self, ticket: Ticket, *, left: bool = False) -> None:
        """Give one who was admitted in vain the first place.

        Args:
            ticket: Theirs.
            left: Whether they hung up before they had the server.
        """
        ticket.left, ticket.seen_at = left, self._clock()
        self._tickets = {ticket.id: ticket} | self._tickets

    def forget_gone(self) -> None:
        """Drop the places of those who did not come back in time."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at, limit = now + LOOK_EVERY, now - GRACE
        gone = [t.id for t in self._tickets.values() if not t.waits and t.seen_at < limit]
        for ticket_id in gone:
            del self._tickets[ticket_id]

    def position(self, ticket: Ticket) -> int:
        """Return 1 for who is next. Those who are away for a moment keep their places.

        Raises:
            TicketError: Its place is lost.
        """
        self.forget_gone()
        self._require_place(ticket)
        position = 1
        for other in self._tickets.values():
            if other is ticket:
                break
            position += not other.aside
        return position

    def is_among(self, ticket: Ticket, first: int) -> bool:
        """Whether a ticket is among the `first` of the line who have not hung up.

        Raises:
            TicketError: Its place is lost.
        """
        self.forget_gone()
        self._require_place(ticket)
        for other in self._tickets.values():
            if first <= 0 or other is ticket:
                break
            first -= _counts(other)
        return first > 0

    def pace(self) -> float | None:
        """Return the seconds between two who were served of late; None before there were two."""
        if len(self._admitted) < 2:
            return None
        return (self._clock() - self._admitted[0]) / len(self._admitted)

    def _has_place(self, ticket_id: str) -> bool:
        ticket = self._tickets.get(ticket_id)
        return ticket is not None and not ticket.aside

    def _require_place(self, ticket: Ticket) -> None:
        if not self._has_place(ticket.id):
            raise TicketError("this place in line is lost")


def _counts(ticket: Ticket) -> bool:
    """Whether those behind wait for one."""
    return not (ticket.left or ticket.aside)
