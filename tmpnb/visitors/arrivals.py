"""Bring a visitor to a server: the one they have, a ready one, or a place in line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tmpnb.access.limits import Admission
from tmpnb.core import links
from tmpnb.core.links import Link
from tmpnb.core.server import NotebookServer
from tmpnb.errors import PoolEmptyError, UnreachableError, VisitorLeftError
from tmpnb.orchestrator.claims.waiting import Place
from tmpnb.orchestrator.loop import Orchestrator
from tmpnb.system import untrusted_json
from tmpnb.system.http.client import Client
from tmpnb.system.http.presence import Presence
from tmpnb.visitors.identity import Visitors
from tmpnb.visitors.taking import Taking, Wish

LOOK_TIMEOUT = 3.0  # seconds to ask a fresh server what a path is
MOST_LOOKS = 8  # such questions to one server; one that stalls holds no more requests


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
        self.taking = Taking(self._claims, visitors)
        self._redirect_uri = redirect_uri
        self._client = Client()
        self._looks: Counter[str] = Counter()  # under way, by the id of the server

    async def take(self, wish: Wish) -> Arrival | Place:
        """Return the address on the server of a visitor, or their place in line.

        Raises:
            TmpnbError: As `Taking.take` does.
        """
        with self.taking.asking(wish):
            found = await self.taking.take(wish)
            if isinstance(found, Place):
                return found
            arrival = await self._arrive(found, wish)
            self.taking.answered(wish, found)
            if wish.presence.left:
                raise VisitorLeftError("the visitor has hung up")
            return arrival

    async def plain(self, admission: Admission, presence: Presence, patience: float) -> Arrival:
        """Claim a ready server for a program, which chooses its own paths.

        Args:
            admission: Its leave to take one.
            presence: Whether it still waits for the answer.
            patience: Seconds to wait in line for one; 0: not at all.

        Raises:
            ClientLimitError: It may take none.
            PoolEmptyError: None is ready, or was within that time.
            ProxyError: The proxy does not answer.
            VisitorLeftError: It has hung up; what was taken for it is stopped.
        """
        server = await admission.take(lambda: self._plain(presence, patience))
        if presence.left:
            self._claims.abandon(server.id)
            raise VisitorLeftError("the program has hung up")
        token = self._orchestrator.token_for(server.id)
        return Arrival(server.id, token, links.on_server(server.id, Link(), token))

    async def _plain(self, presence: Presence, patience: float) -> NotebookServer:
        if presence.left:
            raise VisitorLeftError("the program has hung up")
        try:
            return await self._claims.claim()
        except PoolEmptyError:
            if patience <= 0:
                raise
        return await self._patiently(presence, patience)

    async def _patiently(self, presence: Presence, patience: float) -> NotebookServer:
        ticket = self._claims.queue()
        try:
            if not await self._claims.until_turn(ticket, patience, presence):
                raise PoolEmptyError(f"no notebook was ready within {patience:g} s")
            return await self._claims.claim_in_turn(ticket)
        finally:
            self._claims.leave(ticket.id)

    async def _arrive(self, server: NotebookServer, wish: Wish) -> Arrival:
        token = self._orchestrator.token_for(server.id)
        small = self._orchestrator.small_page(server) if wish.small else ""
        link = links.landing(wish.wanted, small or self._redirect_uri)
        file = links.contents_path(link)
        kind = await self._look(server, file, token) if file is not None else None
        url = links.on_server(server.id, links.resolved(link, kind), token)
        return Arrival(server.id, token, url)

    async def _look(self, server: NotebookServer, file: str, token: str) -> str | None:
        """Return what `_kind` does; None if too many ask already."""
        if self._looks[server.id] >= MOST_LOOKS:
            return None
        self._looks[server.id] += 1
        try:
            return await self._kind(server, file, token)
        finally:
            self._looks[server.id] -= 1
            self._looks += Counter()  # forgets those that nobody asks

    async def _kind(self, server: NotebookServer, file: str, token: str) -> str | None:
        """Return what `file` is on the server; None if it does not say."""
        url = f"{server.address}{server.base_url}api/contents/{file}?content=0"
        headers = {"Authorization": f"token {token}"}
        try:
            answer = await self._client.fetch(url, timeout=LOOK_TIMEOUT, headers=headers)
            found = untrusted_json.loads(answer.body) if answer.code == 200 else {}
        except (UnreachableError, ValueError):
            return None
        return str(found.get("type")) if isinstance(found, dict) else None
