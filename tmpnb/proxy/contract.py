"""The contract between the orchestrator and a proxy."""

from __future__ import annotations

from typing import Protocol

from tmpnb.core.observation import Route


class Proxy(Protocol):
    """What the orchestrator needs of a proxy. Every method may be repeated after a failure.

    All of them raise `ProxyError`: the proxy refused, did not answer in time, or its
    answer makes no sense.
    """

    async def setup(self) -> None:
        """Check that the proxy answers and takes our token. Called once at the start.

        Raises:
            ProxyAuthError: It refused the token.
        """

    async def list_routes(self) -> list[Route]:
        """Return all routes of this pool, never a part of them. Called once each pass."""

    async def route_exists(self, server_id: str) -> bool:
        """Return whether anybody has a route at `/user/<id>`. Called before an id is reused."""

    async def add_route(self, server_id: str, target: str) -> None:
        """Lead `/user/<id>/` to `target`, `http://host:port`. Called once for each claim.

        A route that is there already is replaced, and its last activity is now.
        """

    async def delete_route(self, server_id: str) -> None:
        """Remove the route at `/user/<id>/`; returns when it is gone or never was."""

    async def close(self) -> None:
        """Let go of connections. Leaves routes as they are."""
