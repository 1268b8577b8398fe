"""`/api/servers/<id>`: one server, for the one who has its token."""

from __future__ import annotations

from tornado.web import HTTPError

from tmpnb.core.server import NotebookServer
from tmpnb.web.base import BaseHandler
from tmpnb.web.cors import Cors
from tmpnb.web.embedding import may_embed

NOT_YET = "The service has just started and looks for its notebooks. Please try again soon."


class OwnedServerHandler(BaseHandler):
    """A request about one server, with `Authorization: token <the server's>`."""

    def cors(self, origin: str) -> Cors:
        """Let scripts of pages that may show notebooks ask: they know the token of theirs."""
        if origin and may_embed(self.site.frame_ancestors, origin):
            return self.site.cors.and_origin(origin)
        return self.site.cors

    def owned(self, server_id: str) -> NotebookServer | None:
        """Return the live server the request may speak for; else the answer is sent.

        Raises:
            HTTPError: 401, the token is not the server's; 503, it is not known yet which
                servers there are.
        """
        orchestrator = self.site.orchestrator
        self.require_token(orchestrator.token_for(server_id))
        server = orchestrator.claims.live(server_id)
        if server is None and not orchestrator.adopted:
            raise HTTPError(503, reason=NOT_YET)
        if server is None:
            self.write_json(self.site.lifetimes.farewell(server_id).as_error(), 404)
        return server

    async def describe(self, server: NotebookServer) -> None:
        """Answer with what a visitor may know of a server."""
        lifetime = await self.site.lifetimes.of(server)
        url = self.absolute_on_server(server.id, server.base_url)
        self.write_json({"id": server.id, "url": url, "phase": "claimed"} | lifetime.as_dict())


class ServerHandler(OwnedServerHandler):
    """`GET` and `DELETE /api/servers/<id>`."""

    async def get(self, server_id: str) -> None:
        """Answer how long it has: `{"id", "url", "phase", "expires_at", "idle_at", …}`."""
        server = self.owned(server_id)
        if server is not None:
            await self.describe(server)

    async def delete(self, server_id: str) -> None:
        """Stop it: 204; its files are gone."""
        server = self.owned(server_id)
        if server is not None:
            self.site.orchestrator.claims.close(server)
            self.set_status(204)
            self.finish()


class ExtendHandler(OwnedServerHandler):
    """`POST /api/servers/<id>/extend`."""

    async def post(self, server_id: str) -> None:
        """Let the idle clock begin anew, within `--cull-max`; answer as `GET` does."""
        server = self.owned(server_id)
        if server is not None:
            self.site.orchestrator.claims.keep(server)
            await self.describe(server)
