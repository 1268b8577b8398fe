"""The waiting room: visitors wait in line, and get their servers in the order they came."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass

from tmpnb.errors import PoolEmptyError
from tmpnb.line import Line, Ticket
from tmpnb.pool import Pool
from tmpnb.server import NotebookServer

SLICE = 1.0  # seconds after which one who waits looks again: someone before them may have left


@dataclass(frozen=True, slots=True)
class Place:
    """What one who waits is told.

    Attributes:
        ticket: Secret that keeps the place.
        position: 1 for who is next.
        estimate: Seconds it will take at the pace of late; None if nobody can tell.
    """

    ticket: str
    position: int
    estimate: float | None

    def as_dict(self) -> dict[str, str | int | float | None]:
        """Return the fields by name, for JSON."""
        return asdict(self)

    def as_public(self) -> dict[str, int | float | None]:
        """Return what is no secret."""
        return {"position": self.position, "estimate": self.estimate}


class WaitingRoom:
    """Tells those in line when it is their turn.

    For each place in line one ready server is kept, so that neither somebody who comes
    anew nor somebody further behind can take it.
    """

    def __init__(self, line: Line, pool: Pool) -> None:
        self.line = line
        self._pool = pool
        self._news = asyncio.Event()

    def must_wait(self) -> bool:
        """Whether one who comes now has to wait: for a server, or behind others."""
        self.line.forget_gone()
        return self._pool.ready <= len(self.line)

    def look_again(self) -> None:
        """Let all who wait look again. Called whenever a server has become ready or was taken."""
        self._news.set()
        self._news = asyncio.Event()

    def place(self, ticket: Ticket) -> Place:
        """Return what the one who waits with a ticket is told.

        Raises:
            TicketError: The place is lost.
        """
        position = self.line.position(ticket)
        return Place(ticket.id, position, self.line.estimate(position))

    async def until_turn(self, ticket: Ticket, seconds: float) -> bool:
        """Wait until a server is ready for a ticket; False if none is within `seconds`.

        The place is kept while somebody waits, and `line.GRACE` seconds longer.

        Raises:
            TicketError: The place is lost.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        self.line.arrive(ticket)
        try:
            while not self._is_turn(ticket):
                left = deadline - loop.time()
                if left <= 0:
                    return False
                await self._something_new(min(left, SLICE))
        finally:
            self.line.depart(ticket)
        return True

    def claim(self, ticket: Ticket) -> NotebookServer:
        """Take the server that is kept for a ticket, which is given back for it.

        Raises:
            PoolEmptyError: It is not the ticket's turn.
        """
        if not self._is_turn(ticket):
            raise PoolEmptyError("it is somebody else's turn")
        server = self._pool.claim()
        self.line.admit(ticket)
        return server

    def _is_turn(self, ticket: Ticket) -> bool:
        return self.line.position(ticket) <= self._pool.ready

    async def _something_new(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass
