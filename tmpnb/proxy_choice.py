"""Use the proxy that runs, or start one: which, and with what token."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tmpnb.errors import ConfigError
from tmpnb.http import Client
from tmpnb.proxy import ConfigurableHTTPProxy, Proxy
from tmpnb.settings import Secrets
from tmpnb.tokens import secret_file

DEFAULT_ENDPOINT = "http://127.0.0.1:8001"  # the original's


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """A running proxy's address, or how to start one."""

    endpoint: str | None  # of the running proxy's API
    command: tuple[str, ...]
    ip: str
    port: int
    api_port: int
    state_dir: Path


@asynccontextmanager
async def open_proxy(
    settings: ProxySettings, given: Secrets, pool_name: str, default_target: str
) -> AsyncIterator[Proxy]:
    """Yield the client of the proxy; one that was started here ends with the block.

    A running proxy is used when its endpoint or its token is given, as the original's
    users do.

    Args:
        settings: Where it is or how to start it.
        given: The token, or the file that holds it.
        pool_name: Marks our routes in it.
        default_target: Where it sends what has no route: the orchestrator's own URL.

    Raises:
        ConfigError: There is no token for a running proxy, or none could be started.
    """
    token = given.proxy_token
    if token is None and given.proxy_token_file is not None:
        token = secret_file(given.proxy_token_file, mode=0o444)
    if settings.endpoint is None and token is None:
        async with _started(settings, default_target) as (endpoint, own_token):
            yield ConfigurableHTTPProxy(Client(), endpoint, own_token, pool_name)
        return
    if token is None:
        raise ConfigError(
            "CONFIGPROXY_ENDPOINT is set and CONFIGPROXY_AUTH_TOKEN is not; "
            "set it to the token that the proxy was started with"
        )
    endpoint = settings.endpoint or DEFAULT_ENDPOINT
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigError(f"CONFIGPROXY_ENDPOINT={endpoint} must begin with http:// or https://")
    yield ConfigurableHTTPProxy(Client(), endpoint, token, pool_name)


@asynccontextmanager
async def _started(settings: ProxySettings, default_target: str) -> AsyncIterator[tuple[str, str]]:
    raise ConfigError("not yet")
    yield "", secrets.token_hex(32)
