"""Speak the REST API of configurable-http-proxy (CHP).

Facts of CHP that callers must know: routes live in its memory, so a restart loses
them; a POST sets `last_activity` anew; fields it does not know come back as sent,
which is how a route says whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPResponse

from tmpnb.core.observation import Route
from tmpnb.core.subdomains import Subdomains
from tmpnb.errors import ConfigError, ProxyAuthError, ProxyError, UnreachableError
from tmpnb.system import untrusted_json
from tmpnb.system.http.client import Client
from tmpnb.system.units import unix_time

OWNER = "tmpnb_pool"  # the field of a route that names the pool it belongs to
PROBE, NOWHERE = "host-routing-check", "http://127.0.0.1:9"


class ConfigurableHTTPProxy:
    """A running CHP, reached at its API's address. A `Proxy`."""

    def __init__(
        self,
        client: Client,
        endpoint: str,
        token: str,
        pool_name: str,
        timeout: float = 5.0,
        *,
        domain: str = "",
    ) -> None:
        """Keep what is needed to ask; nothing is sent yet.

        Args:
            client: Who asks; closed by `close`.
            endpoint: The API's address, `http://host:port`.
            token: The API's secret, CONFIGPROXY_AUTH_TOKEN of both.
            pool_name: Marks the routes that are ours.
            timeout: Seconds for each request.
            domain: Below which each server has a host of its own, by which the proxy finds
                it; empty: all are at the same host.
        """
        self._domain = domain
        self._client, self._endpoint = client, endpoint.rstrip("/")
        self._headers = {"Authorization": f"token {token}"}
        self._pool_name, self._timeout = pool_name, timeout

    async def setup(self) -> None:
        """See `Proxy`; with a domain, check as well that the proxy goes by hosts.

        Raises:
            ConfigError: It does not.
        """
        await self.list_routes()
        if self._domain:
            await self._require_host_routing()

    async def list_routes(self) -> list[Route]:
        """See `Proxy`."""
        answer = await self._ask("GET", "", expected=(200,))
        try:
            table = untrusted_json.loads(answer.body, most=len(answer.body))  # of a large pool
        except ValueError as error:
            raise self._not_understood(f"its routes are not JSON ({error})") from error
        if not isinstance(table, dict):
            raise self._not_understood("its routes are not a JSON object")
        return [self._parse(path, data) for path, data in table.items() if self._is_ours(data)]

    async def route_exists(self, server_id: str) -> bool:
        """See `Proxy`."""
        answer = await self._ask("GET", self._path(server_id), expected=(200, 404))
        return answer.code == 200

    async def add_route(self, server_id: str, target: str) -> None:
        """See `Proxy`."""
        route = {"target": target, OWNER: self._pool_name, "server_id": server_id}
        await self._ask(
            "POST", f"{self._path(server_id)}/", expected=(201,), body=json.dumps(route)
        )

    async def delete_route(self, server_id: str) -> None:
        """See `Proxy`."""
        await self._ask("DELETE", f"{self._path(server_id)}/", expected=(204, 404))

    async def close(self) -> None:
        """See `Proxy`."""
        self._client.close()

    async def _ask(
        self, method: str, path: str, *, expected: tuple[int, ...], body: str | None = None
    ) -> HTTPResponse:
        try:
            answer = await self._client.fetch(
                f"{self._endpoint}/api/routes{path}",
                timeout=self._timeout,
                method=method,
                headers=self._headers,
                body=body,
            )
        except UnreachableError as error:
            raise ProxyError(f"the proxy's API does not answer: {error}") from error
        if answer.code in (401, 403):
            raise ProxyAuthError(
                f"the proxy's API at {self._endpoint} refused our token (HTTP {answer.code}); "
                "set the same CONFIGPROXY_AUTH_TOKEN for tmpnb and for the proxy"
            )
        if answer.code not in expected:
            raise ProxyError(
                f"the proxy's API at {self._endpoint} answered {method} with HTTP {answer.code}; "
                "is this the API port of configurable-http-proxy?"
            )
        return answer

    def _is_ours(self, data: object) -> bool:
        return isinstance(data, dict) and data.get(OWNER) == self._pool_name

    def _parse(self, path: str, data: Mapping[str, Any]) -> Route:
        server_id, target = data.get("server_id"), data.get("target")
        seen = unix_time(data.get("last_activity"))
        if not isinstance(server_id, str) or path != self._key(server_id):
            raise self._not_understood(f"the route at {path} carries another server's id")
        if not isinstance(target, str) or seen is None:
            raise self._not_understood(f"the route at {path} has no target or no last activity")
        return Route(server_id, last_activity=seen, target=target)

    async def _require_host_routing(self) -> None:
        """Add a route that leads nowhere: a proxy that goes by hosts notes its host."""
        path = self._path(PROBE)
        await self._ask("POST", f"{path}/", expected=(201,), body=json.dumps({"target": NOWHERE}))
        answer = await self._ask("GET", path, expected=(200,))
        await self._ask("DELETE", f"{path}/", expected=(204, 404))
        if b'"host"' not in answer.body:
            raise ConfigError(
                f"--subdomains={self._domain} needs a proxy that goes by host names; "
                f"start the one whose API is at {self._endpoint} with --host-routing"
            )

    def _parts(self, server_id: str) -> list[str]:
        host = [Subdomains(self._domain).host_of(server_id)] if self._domain else []
        return ["", *host, "user", server_id]

    def _key(self, server_id: str) -> str:
        """Return where a route stands in the proxy's table."""
        return "/".join(self._parts(server_id))

    def _path(self, server_id: str) -> str:
        return "/".join(quote(part, safe="") for part in self._parts(server_id))

    def _not_understood(self, what: str) -> ProxyError:
        return ProxyError(f"the proxy's API at {self._endpoint} is not understood: {what}")
