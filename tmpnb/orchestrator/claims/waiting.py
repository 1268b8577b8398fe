"""The waiting room: visitors wait in line, and get their servers in the order they came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from tmpnb.core.estimate import Coming, coarse, until_served
from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer
from tmpnb.errors import PoolEmptyError
from tmpnb.orchestrator.bars import Stage
from tmpnb.orchestrator.claims.line import Line, Ticket
from tmpnb.system.http.presence import Presence

SLICE = 1.0  # seconds after which one who waits looks again: someone before them may have left


@dataclass(frozen=True, slots=True)
class Place:
    """What one who waits is told.

    Attributes:
        ticket: Secret that keeps the place.
        position: 1 for who is next.
        estimate: Seconds it will take, in coarse steps; None if nobody can tell.
    """

    ticket: str
    position: int
    estimate: int | None

    def as_dict(self) -> dict[str, str | int | None]:
        """Return the fields by name, for JSON."""
        return asdict(self)

    def as_public(self) -> dict[str, int | None]:
        """Return what is no secret."""
        return {"position": self.position, "estimate": self.estimate}


class WaitingRoom:
    """Tells those in line when it is their turn.

    For each place in line one ready server is kept, so that neither somebody who comes
    anew nor somebody further behind can take it; but none for those who have hung up.
    """

    def __init__(
        self,
        line: Line,
        pool: Pool,
        stage: Stage,
        coming: Callable[[], Coming],
    ) -> None:
        """Begin with nobody.

        Args:
            line: Who is next.
            pool: The servers there are.
            stage: Whether it may be anybody's turn at all.
            coming: The starts under way.
        """
        self.line = line
        self._pool, self._stage, self._coming = pool, stage, coming
        self._waiting: set[asyncio.Future[None]] = set()

    def must_wait(self) -> bool:
        """Whether one who comes now has to wait: for a server, or behind others."""
        self.line.forget_gone()
        return self._pool.ready <= self.line.present

    def look_again(self) -> None:
        """Let all who wait look again. Called whenever a server has become ready or was taken."""
        for waiting in self._waiting:
            _wake(waiting)

    def place(self, ticket: Ticket) -> Place:
        """Return what the one who waits with a ticket is told.

        Raises:
            TicketError: The place is lost.
        """
        position = self.line.position(ticket)
        if not self._stage.serves:
            return Place(ticket.id, position, None)
        seconds = until_served(position, self._pool.ready, self._coming(), self.line.pace())
        return Place(ticket.id, position, coarse(seconds))

    @contextmanager
    def staying(self, ticket: Ticket, presence: Presence) -> Iterator[None]:
        """Keep a place during the block, and `line.GRACE` seconds longer."""
        self.line.arrive(ticket)
        try:
            yield
        finally:
            self.line.depart(ticket, left=presence.left)
            if presence.left and self._pool.ready:
                self.look_again()

    async def until_turn(self, ticket: Ticket, seconds: float, presence: Presence) -> bool:
        """Wait until a server is ready for a ticket; False if none is within `seconds`.

        The place is kept meanwhile, as by `staying`. Who leaves waits no longer.

        Raises:
            TicketError: The place is lost.
        """
        with self.staying(ticket, presence):
            return await self.staying_until_turn(ticket, seconds, presence)

    async def staying_until_turn(self, ticket: Ticket, seconds: float, presence: Presence) -> bool:
        """Wait as by `until_turn`, for one whose place is kept by `staying` already."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not presence.left and not self._is_turn(ticket):
            left = deadline - loop.time()
            if left <= 0:
                return False
            await self._something_new(min(left, SLICE), presence)
        return not presence.left

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

    def make_place(self, ticket: Ticket | None) -> NotebookServer | None:
        """Return the server that has to make place for one of its own, if one has to.

        Args:
            ticket: Of the one whom the place is for, who has waited for a ready server as all
                do; None for one who comes now, whom an empty line lets pass to an empty place.

        Raises:
            PoolEmptyError: It is not their turn.
        """
        if ticket is None:
            vacant = self._pool.has_room() and not self.line.present
            if self.must_wait() and not vacant:
                self._pool.refuse()
        elif not self._is_turn(ticket):
            raise PoolEmptyError("it is somebody else's turn")
        leaving = None if self._pool.has_room() else self._pool.oldest_ready()
        if leaving is None and not self._pool.has_room():
            self._pool.refuse()
        if ticket is not None:
            self.line.admit(ticket)
        return leaving

    def _is_turn(self, ticket: Ticket) -> bool:
        ready = self._pool.ready if self._stage.serves else 0
        return self.line.is_among(ticket, ready)

    async def _something_new(self, seconds: float, presence: Presence) -> None:
        news = asyncio.get_running_loop().create_future()
        self._waiting.add(news)
        try:
            with presence.telling(lambda: _wake(news)):
                async with asyncio.timeout(seconds):
                    await news
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(news)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
