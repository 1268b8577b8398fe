"""Turn a claim into the address a visitor is sent to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tmpnb import links
from tmpnb.errors import UnreachableError
from tmpnb.http import Client
from tmpnb.links import Link
from tmpnb.orchestrator import Orchestrator
from tmpnb.server import NotebookServer

LOOK_TIMEOUT = 3.0  # seconds to ask a fresh server what a path is


@dataclass(frozen=True, slots=True)
class Arrival:
    """A server that was given to a visitor."""

    server_id: str
    token: str = field(repr=False)
    url: str = field(repr=False)  # absolute path with query, token included


class Arrivals:
    """Takes servers for visitors and knows where on them they wanted to be."""

    def __init__(self, orchestrator: Orchestrator, redirect_uri: str) -> None:
        self._orchestrator = orchestrator
        self._redirect_uri = redirect_uri
        self._client = Client()

    async def take(self, wanted: Link) -> Arrival:
        """Claim a ready server and return the address of `wanted` on it.

        Raises:
            PoolEmptyError: None is ready.
            ProxyError: The proxy does not answer.
        """
        return await self._arrive(await self._orchestrator.claim(), wanted)

    async def reopen(self, server_id: str, wanted: Link) -> Arrival:
        """Start an empty server under an id of the past and return the address on it.

        Raises:
            ServerExistsError: A server of this id is alive.
            PoolEmptyError: There is no room for it.
            SpawnerError: It did not start.
            ProxyError: The proxy does not answer.
        """
        return await self._arrive(await self._orchestrator.claim_as(server_id), wanted)

    async def plain(self) -> Arrival:
        """Claim a ready server for a program, which chooses its own paths.

        Raises:
            PoolEmptyError: None is ready.
            ProxyError: The proxy does not answer.
        """
        server = await self._orchestrator.claim()
        token = self._orchestrator.token_for(server.id)
        return Arrival(server.id, token, links.on_server(server.id, Link(), token))

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
            found = json.loads(answer.body) if answer.code == 200 else {}
        except (UnreachableError, ValueError):
            return None
        return str(found.get("type")) if isinstance(found, dict) else None
