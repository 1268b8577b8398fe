"""Warn if a public service has all notebooks on one origin, without a host name for each server."""

from __future__ import annotations

import enum
from urllib.parse import urlsplit

from tmpnb.access.trusted_proxies import host_of
from tmpnb.proxy.choice import DEFAULT_ENDPOINT, is_managed
from tmpnb.settings.service import Service
from tmpnb.system.net.networks import is_loopback

_HARM = (
    "to a browser all its notebooks are one site: content in a stranger's notebook can "
    "read and run the visitor's own"
)
WORDS = f"the service is public, and {_HARM}"
WORDS_IF = (
    "an external proxy forwards visitors here, and no setting says from where; if "
    f"anyone other than this machine's users can reach it, {_HARM}"
)
MEND = "give each server its own host name with --subdomains=DOMAIN (docs/subdomains.md)"
MEND_IF = f"{MEND}; or set --public-url=http://localhost:PORT if nobody else can"


class Reach(enum.Enum):
    """Who can reach the service, according to the addresses in the settings."""

    PUBLIC = "public"
    UNKNOWN = "unknown"  # a proxy that is not ours may listen anywhere
    HERE = "here"  # this machine only, except for a reverse proxy on it that nobody mentioned


def is_shared(service: Service) -> bool:
    """Whether others than this machine's users have, or may have, servers at one host name."""
    return service.subdomains is None and is_public(service)


def is_public(service: Service) -> bool:
    """Whether visitors come, or may come, from other machines, according to the settings."""
    return reach(service) is not Reach.HERE


def words(service: Service) -> tuple[str, str]:
    """Return the problem and the fix if servers share a host name."""
    return (WORDS_IF, MEND_IF) if reach(service) is Reach.UNKNOWN else (WORDS, MEND)


def advice(service: Service) -> str:
    """Return the warning to log at the start; empty if it does not matter."""
    return "; ".join(words(service)) if is_shared(service) else ""


def reach(service: Service) -> Reach:
    """Return where visitors come from."""
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
