"""The programs' side: take a server, read the numbers, drain the pool."""

from __future__ import annotations

from tmpnb.errors import PoolEmptyError
from tmpnb.handlers.base import BaseHandler
from tmpnb.handlers.pages import RETRY_WHEN_FULL, stats


class SpawnAPIHandler(BaseHandler):
    """`POST /api/spawn`."""

    async def post(self) -> None:
        """Take a server: `{"url", "id", "token"}`; 429 `{"status": "full"}` when none is ready.

        `url` is a path on this site with the token in its query, as the original gave it.
        """
        self.require_token(self.site.api_token)
        try:
            arrival = await self.site.arrivals.plain()
        except PoolEmptyError as error:
            self.set_header("Retry-After", str(RETRY_WHEN_FULL))
            reason = {"code": "pool_empty", "message": str(error)}
            self.write_json({"status": "full", "error": reason}, 429)
            return
        self.write_json({"url": arrival.url, "id": arrival.server_id, "token": arrival.token})


class StatsHandler(BaseHandler):
    """`GET /stats` and `GET /api/stats`."""

    async def get(self) -> None:
        """Answer with the pool in numbers."""
        self.require_token(self.site.api_token)
        self.write_json(stats(self))

    head = get


class PoolHandler(BaseHandler):
    """`DELETE /api/pool`, on the admin port."""

    async def delete(self) -> None:
        """Replace all unclaimed servers: `{"drained": n}`. Visitors keep theirs."""
        self.require_token(self.site.admin_token)
        self.write_json({"drained": self.site.orchestrator.drain()})
