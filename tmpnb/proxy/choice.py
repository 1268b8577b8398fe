"""Use the proxy that runs, or start one: which, and with what token."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tmpnb.errors import ConfigError
from tmpnb.proxy.chp import ConfigurableHTTPProxy
from tmpnb.proxy.contract import Proxy
from tmpnb.proxy.managed import ManagedProxy, ManagedProxySettings
from tmpnb.proxy.token import GivenToken, token_of
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.system.net.host_port import place
from tmpnb.system.tasks import supervised

log = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "http://127.0.0.1:8001"  # the original's


@dataclass(frozen=True, slots=True)
class ProxyChoice:
    """A running proxy's address, or how to start one."""

    endpoint: str | None  # of the running proxy's API
    command: tuple[str, ...]
    ip: str
    port: int
    api_port: int
    state_dir: Path
    domain: str = ""  # below which servers have host names of their own; empty: they have none


def is_managed(choice: ProxyChoice, given: GivenToken) -> bool:
    """Whether tmpnb starts the proxy itself."""
    return not (choice.endpoint or given.proxy_token or given.proxy_token_file)


@asynccontextmanager
async def open_proxy(
    choice: ProxyChoice,
    given: GivenToken,
    pool_name: str,
    default_target: str,
    on_restart: Callable[[], None],
    on_trouble: Callable[[str], None],
) -> AsyncIterator[Proxy]:
    """Yield the client of the proxy; one that was started here ends with the block.

    A running proxy is used when its endpoint or its token is given, as the original's
    users do.

    Args:
        choice: Where it is or how to start it.
        given: The token, or the file that holds it.
        pool_name: Marks our routes in it.
        default_target: Where it sends what has no route: the orchestrator's own URL.
        on_restart: Called when a proxy that was started here lost all routes.
        on_trouble: Called with what is wrong with the state directory of such a proxy, and
            with nothing once all is well.

    Raises:
        ConfigError: There is no token for a running proxy, or none could be started.
    """
    token = token_of(given)
    if choice.endpoint is None and token is None:
        settings = settings_of(choice, default_target, secrets.token_hex(32))
        async with _running(settings, on_restart, on_trouble):
            yield ConfigurableHTTPProxy(
                Client(MAX_ANSWER),
                settings.endpoint,
                settings.token,
                pool_name,
                domain=choice.domain,
            )
        return
    if token is None:
        raise ConfigError(
            "CONFIGPROXY_ENDPOINT is set and CONFIGPROXY_AUTH_TOKEN is not; "
            "set it to the token that the proxy was started with"
        )
    endpoint = choice.endpoint or DEFAULT_ENDPOINT
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigError(f"CONFIGPROXY_ENDPOINT={endpoint} must begin with http:// or https://")
    yield ConfigurableHTTPProxy(
        Client(MAX_ANSWER), endpoint, token, pool_name, domain=choice.domain
    )


def settings_of(choice: ProxyChoice, default_target: str, token: str) -> ManagedProxySettings:
    """Return how such a proxy is run before an orchestrator at the URL `default_target`."""
    return ManagedProxySettings(
        command=choice.command,
        ip=choice.ip,
        port=choice.port,
        api_port=choice.api_port,
        token=token,
        state_dir=choice.state_dir,
        default_target=default_target,
        error_target=f"{default_target}/proxy-error",
        host_routing=bool(choice.domain),
    )


@asynccontextmanager
async def _running(
    settings: ManagedProxySettings,
    on_restart: Callable[[], None],
    on_trouble: Callable[[str], None],
) -> AsyncIterator[None]:
    managed = ManagedProxy(settings, Client(MAX_ANSWER), on_restart, on_trouble)
    try:
        await managed.start()
        host = settings.ip or "0.0.0.0"  # noqa: S104 - printed, not bound
        log.info("visitors reach the service at http://%s/", place(host, settings.port))
        keeping = supervised(managed.run(), "keeping the proxy")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
    finally:
        await managed.close()
