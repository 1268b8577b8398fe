"""`/wait/<ticket>`: tell one who waits in line how far it is, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress

from tornado.iostream import StreamClosedError

from tmpnb.errors import TicketError
from tmpnb.orchestrator.claims.line import Ticket
from tmpnb.web.base import BaseHandler

LONGEST = 600.0  # seconds of one stream; the browser opens the next by itself
KEEPALIVE = 15.0  # seconds
RETRY_WHEN_CROWDED = 15  # seconds


class WaitHandler(BaseHandler):
    """`GET /wait/<ticket>`: keeps the place while it is open, takes no server.

    Events without a name carry `{"position", "estimate"}`; `turn` says that a server is
    ready to be taken with the ticket, `lost` that the place is lost. When as many wait with a
    ticket as may, the next are told at once how far it is, and ask again.
    """

    lasting = frozenset({"GET"})

    async def get(self, ticket_id: str) -> None:
        """Stream events until the turn has come."""
        claims = self.site.orchestrator.claims
        ticket = claims.ticket(ticket_id)
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("X-Accel-Buffering", "no")  # nginx would keep them
        with suppress(StreamClosedError):  # nobody is there any more
            if ticket is None:
                await self._send({}, event="lost")
                return
            end = asyncio.get_running_loop().time()
            if ticket.is_crowded:
                self.write(f"retry: {RETRY_WHEN_CROWDED * 1000}\n\n")
            else:
                end += LONGEST
            with claims.staying(ticket, self.presence):
                await self._stream(ticket, end)

    async def _stream(self, ticket: Ticket, end: float) -> None:
        try:
            await self._tell(ticket, end)
        except TicketError:
            await self._send({}, event="lost")

    async def _tell(self, ticket: Ticket, end: float) -> None:
        claims, loop = self.site.orchestrator.claims, asyncio.get_running_loop()
        last, told = 0.0, ""
        while not self.presence.left:
            news = json.dumps(claims.place(ticket).as_public())
            if news != told or loop.time() - last > KEEPALIVE:
                await self._send(json.loads(news))
                told, last = news, loop.time()
            left = end - loop.time()
            if await claims.staying_until_turn(ticket, min(left, 1.0), self.presence):
                await self._send({}, event="turn")
                return
            if left <= 0:
                return

    async def _send(self, data: Mapping[str, object], event: str = "") -> None:
        name = f"event: {event}\n" if event else ""
        self.write(f"{name}data: {json.dumps(data)}\n\n")
        try:
            await self.flush()
        except StreamClosedError:
            self.presence.leave()
            raise
