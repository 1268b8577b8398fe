"""`/wait/<ticket>`: tell one who waits in line how far it is, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress

from tornado.iostream import StreamClosedError

from tmpnb.errors import ClientLimitError, TicketError
from tmpnb.handlers.base import BaseHandler
from tmpnb.line import Ticket

LONGEST = 600.0  # seconds of one stream; the browser opens the next by itself
KEEPALIVE = 15.0  # seconds
RETRY_WHEN_CROWDED = 15  # seconds
CROWDED = "Too many pages wait with your place in line. Close the others; one of them keeps it."


class WaitHandler(BaseHandler):
    """`GET /wait/<ticket>`: keeps the place while it is open, takes no server.

    Events without a name carry `{"position", "estimate"}`; `turn` says that a server is
    ready to be taken with the ticket, `lost` that the place is lost.
    """

    lasting = frozenset({"GET"})

    async def get(self, ticket_id: str) -> None:
        """Stream events until the turn has come.

        Raises:
            ClientLimitError: More pages wait with this ticket than one has open.
        """
        claims = self.site.orchestrator.claims
        ticket = claims.ticket(ticket_id)
        if ticket is not None and ticket.is_crowded:
            raise ClientLimitError(CROWDED, RETRY_WHEN_CROWDED)
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("X-Accel-Buffering", "no")  # nginx would keep them
        with suppress(StreamClosedError):  # nobody is there any more
            if ticket is None:
                await self._send({}, event="lost")
                return
            with claims.staying(ticket, self.presence):
                await self._stream(ticket)

    async def _stream(self, ticket: Ticket) -> None:
        try:
            await self._tell(ticket)
        except TicketError:
            await self._send({}, event="lost")

    async def _tell(self, ticket: Ticket) -> None:
        claims, loop = self.site.orchestrator.claims, asyncio.get_running_loop()
        end, last, told = loop.time() + LONGEST, 0.0, ""
        while loop.time() < end and not self.presence.left:
            news = json.dumps(claims.place(ticket).as_public())
            if news != told or loop.time() - last > KEEPALIVE:
                await self._send(json.loads(news))
                told, last = news, loop.time()
            if await claims.until_turn(ticket, 1.0, self.presence):
                await self._send({}, event="turn")
                return

    async def _send(self, data: Mapping[str, object], event: str = "") -> None:
        name = f"event: {event}\n" if event else ""
        self.write(f"{name}data: {json.dumps(data)}\n\n")
        try:
            await self.flush()
        except StreamClosedError:
            self.presence.leave()
            raise
