"""Whether the public is served at one origin: servers that have no hosts of their own."""

from __future__ import annotations

import enum
from urllib.parse import urlsplit

from tmpnb.access.trusted_proxies import host_of
from tmpnb.proxy.choice import DEFAULT_ENDPOINT, is_managed
from tmpnb.settings.service import Service
from tmpnb.system.net.networks import is_loopback

_HARM = (
    "to a browser all its notebooks are one site: what a stranger's notebook shows can read and "
    "run the visitor's own"
)
WORDS = f"the service is public, and {_HARM}"
WORDS_IF = (
    "another program's proxy leads visitors here, and nothing set here says from where; if others "
    f"than this machine's users reach it, {_HARM}"
)
MEND = "give each server a host name of its own with --subdomains=DOMAIN (docs/subdomains.md)"
MEND_IF = f"{MEND}; or say --public-url=http://localhost:PORT if nobody else does"


class Reach(enum.Enum):
    """Who may come, as far as addresses in the settings tell."""

    PUBLIC = "public"
    UNKNOWN = "unknown"  # a proxy that is not ours may listen anywhere
    HERE = "here"  # this machine alone, but for a front server on it that nobody has told of


def is_shared(service: Service) -> bool:
    """Whether others than this machine's users have, or may have, servers at one host name."""
    return service.subdomains is None and is_public(service)


def is_public(service: Service) -> bool:
    """Whether visitors come from elsewhere, or may, for all that the settings tell."""
    return reach(service) is not Reach.HERE


def words(service: Service) -> tuple[str, str]:
    """Return what is so, and what to do about it, where servers share a host name."""
    return (WORDS_IF, MEND_IF) if reach(service) is Reach.UNKNOWN else (WORDS, MEND)


def advice(service: Service) -> str:
    """Return what the log says of that at the start; empty where it does not matter."""
    return "; ".join(words(service)) if is_shared(service) else ""


def reach(service: Service) -> Reach:
    """Return from where visitors come."""
    host = urlsplit(service.public_url).hostname or ""
    if host and not _is_here(host):
        return Reach.PUBLIC
    if not is_loopback(service.listening.ip):
        return Reach.PUBLIC
    if is_managed(service.proxy, service.secrets):
        return Reach.HERE if is_loopback(service.proxy.ip) else Reach.PUBLIC
    is_near = _is_here(host_of(service.proxy.endpoint or DEFAULT_ENDPOINT))
    return Reach.HERE if host and is_near else Reach.UNKNOWN


def _is_here(host: str) -> bool:
    name = host.lower().removesuffix(".")
    return is_loopback(name) or name.endswith(".localhost")
