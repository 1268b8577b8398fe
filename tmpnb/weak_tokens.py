"""Tokens that can be guessed from other machines."""

from __future__ import annotations

from collections.abc import Iterator

from tmpnb.one_origin import is_public
from tmpnb.proxy_choice import is_managed
from tmpnb.secret_settings import PROXY_TOKEN, SHORTEST
from tmpnb.service import Service
from tmpnb.settings import is_loopback
from tmpnb.trusted import host_of

MEND = "generate a longer one: openssl rand -hex 32"


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
                f"{given.source(name)} is shorter than {SHORTEST} characters, and "
                f"{guards} can be reached from other machines: it can be guessed",
                MEND,
            )
