"""Bring a visitor to a server: the one they have, a ready one, or a place in line."""

from __future__ import annotations

from dataclasses import dataclass, field

from tmpnb import foreign_json, links
from tmpnb.client_limits import Admission
from tmpnb.errors import PoolEmptyError, TicketError, UnreachableError
from tmpnb.http import Client
from tmpnb.line import Ticket
from tmpnb.links import Link
from tmpnb.orchestrator import Orchestrator
from tmpnb.server import NotebookServer
from tmpnb.visitors import Visitor, Visitors
from tmpnb.waiting import Place

LOOK_TIMEOUT = 3.0  # seconds to ask a fresh server what a path is


@dataclass(frozen=True, slots=True)
class Arrival:
    """A server that was given to a visitor."""

    server_id: str
    token: str = field(repr=False)
    url: str = field(repr=False)  # absolute path with query, token included


class Arrivals:
    """Takes servers for visitors and knows where on them they wanted to be."""

    def __init__(self, orchestrator: Orchestrator, redirect_uri: str, visitors: Visitors) -> None:
        self._orchestrator, self._visitors = orchestrator, visitors
        self._claims = orchestrator.claims
        self._redirect_uri = redirect_uri
        self._client = Client()

    async def take(
        self,
        wanted: Link,
        visitor: Visitor,
        admission: Admission,
        *,
        ticket_id: str = "",
        patience: float = 0.0,
    ) -> Arrival | Place:
        """Return the address of `wanted` on the visitor's server, or their place in line.

        Args:
            wanted: Where they want to be.
            visitor: Who they are. One who has a server gets no other.
            admission: Their leave to take one.
            ticket_id: The place in line that they have already; may be lost.
            patience: Seconds to wait for their turn.

        Raises:
            ClientLimitError: They may take none, and have none.
            LineFullError: None is ready, and too many wait already.
            ProxyError: The proxy does not answer.
        """
        server = await self._server_for(visitor, admission, ticket_id, patience)
        return await self._arrive(server, wanted) if isinstance(server, NotebookServer) else server

    async def _server_for(
        self, visitor: Visitor, admission: Admission, ticket_id: str, patience: float
    ) -> NotebookServer | Place:
        ticket = self._place_of(visitor, ticket_id)
        if ticket is None:
            try:
                server = await self._visitors.server_for(
                    visitor, lambda: admission.take(self._claims.claim)
                )
            except PoolEmptyError:
                ticket = admission.queue(self._claims.queue)
            else:
                admission.recognise(server.id)
                return server
        self._visitors.note_ticket(visitor, ticket.id)
        return await self._in_turn(visitor, admission, ticket, patience)

    async def _in_turn(
        self, visitor: Visitor, admission: Admission, ticket: Ticket, patience: float
    ) -> NotebookServer | Place:
        """Wait with a ticket. Another tab may be served with the same one first."""
        try:
            if await self._claims.until_turn(ticket, patience):
                return await self._visitors.server_for(
                    visitor, lambda: admission.redeem(ticket, self._claims.claim_in_turn)
                )
        except TicketError:
            server = self._visitors.server_of(visitor)
            return server or self._claims.place(admission.queue(self._claims.queue))
        except PoolEmptyError:
            pass  # the server died on the way; the place is kept
        return self._claims.place(ticket)

    def is_known(self, visitor: Visitor, ticket_id: str) -> bool:
        """Whether a visitor comes back, to the server they have or to their place in line."""
        has = self._visitors.server_of(visitor) is not None
        return has or self._place_of(visitor, ticket_id) is not None

    def _place_of(self, visitor: Visitor, ticket_id: str) -> Ticket | None:
        return self._claims.ticket(ticket_id or self._visitors.ticket_of(visitor))

    def start_afresh(self, visitor: Visitor, admission: Admission) -> Visitor:
        """Close the server a visitor has; return who they are to `take`, which gives a new one.

        Raises:
            ClientLimitError: They may take none; they keep the one they have.
        """
        server = self._visitors.server_of(visitor)
        if server is not None:
            admission.require(closing=1)
            self._claims.close(server)
        return self._visitors.forget_server(visitor)

    async def reopen(self, server_id: str, wanted: Link, admission: Admission) -> Arrival:
        """Start an empty server under an id of the past and return the address on it.

        Only for the browser that had that id: the secret is the same. While the server is
        alive, or once another request has started it, they are led to it.

        Raises:
            ClientLimitError: They may take none.
            ServerExistsError: A server of this id is being removed.
            PoolEmptyError: There is no room for it.
            SpawnerError: It did not start.
            ProxyError: The proxy does not answer.
        """
        holder = Visitor(f"of {server_id}", server_id)  # its requests wait for each other
        server = await self._visitors.server_for(
            holder, lambda: admission.take(lambda: self._claims.claim_as(server_id))
        )
        return await self._arrive(server, wanted)

    async def plain(self, admission: Admission, patience: float = 0.0) -> Arrival:
        """Claim a ready server for a program, which chooses its own paths.

        Args:
            admission: Its leave to take one.
            patience: Seconds to wait in line for one.

        Raises:
            ClientLimitError: It may take none.
            PoolEmptyError: None is ready, or was within that time.
            ProxyError: The proxy does not answer.
        """
        server = await admission.take(lambda: self._plain(patience))
        token = self._orchestrator.token_for(server.id)
        return Arrival(server.id, token, links.on_server(server.id, Link(), token))

    async def _plain(self, patience: float) -> NotebookServer:
        try:
            return await self._claims.claim()
        except PoolEmptyError:
            if patience <= 0:
                raise
        return await self._patiently(patience)

    async def _patiently(self, patience: float) -> NotebookServer:
        ticket = self._claims.queue()
        try:
            if not await self._claims.until_turn(ticket, patience):
                raise PoolEmptyError(f"no notebook was ready within {patience:g} s")
            return await self._claims.claim_in_turn(ticket)
        finally:
            self._claims.leave(ticket.id)

    async def _arrive(self, server: NotebookServer, wanted: Link) -> Arrival:
        token = self._orchestrator.token_for(server.id)
        link = links.landing(wanted, self._redirect_uri)
        file = links.contents_path(link)
        kind = await self._kind(server, file, token) if file is not None else None
        url = links.on_server(server.id, links.resolved(link, kind), token)
        return Arrival(server.id, token, url)

    async def _kind(self, server: NotebookServer, file: str, token: str) -> str | None:
        """Return what `file` is on the server; None if it does not say."""
        url = f"{server.address}{server.base_url}api/contents/{file}?content=0"
        headers = {"Authorization": f"token {token}"}
        try:
            answer = await self._client.fetch(url, timeout=LOOK_TIMEOUT, headers=headers)
            found = foreign_json.loads(answer.body) if answer.code == 200 else {}
        except (UnreachableError, ValueError):
            return None
        return str(found.get("type")) if isinstance(found, dict) else None
