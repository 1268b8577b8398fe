"""Tokens that can be guessed, where others than this machine's users may try."""

from __future__ import annotations

from collections.abc import Iterator

from tmpnb.access.trusted_proxies import host_of
from tmpnb.core.secret_names import PROXY_TOKEN
from tmpnb.proxy.choice import is_managed
from tmpnb.proxy.token import SHORTEST
from tmpnb.settings.advice.one_origin import is_public
from tmpnb.settings.service import Service
from tmpnb.system.net.networks import is_loopback

MEND = "make a longer one: openssl rand -hex 32"


def weak_tokens(service: Service) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of each, without the token, and what to do about it."""
    given, proxy = service.secrets, service.proxy
    is_far = not is_managed(proxy, given) and not is_loopback(
        host_of(proxy.endpoint) or "localhost"
    )
    for name, token, guards, is_open in (
        (
            "ADMIN_AUTH_TOKEN",
            given.admin_token,
            "the admin port",
            not is_loopback(service.listening.admin_ip),
        ),
        ("API_AUTH_TOKEN", given.api_token, "the public port", is_public(service)),
        (PROXY_TOKEN, given.proxy_token, "the proxy's API", is_far),
    ):
        if token is not None and is_open and len(token) < SHORTEST:
            yield (
                f"{given.source(name)} is shorter than {SHORTEST} characters, and {guards} is not "
                "for this machine alone: it can be guessed",
                MEND,
            )
