"""Whether the public is served at one origin: servers that have no hosts of their own."""

from __future__ import annotations

from urllib.parse import urlsplit

from tmpnb.service import Service
from tmpnb.settings import is_loopback

WORDS = (
    "the service is public, and to a browser all its notebooks are one site: what a stranger's "
    "notebook shows can read and run the visitor's own"
)
MEND = "give each server a host name of its own with --subdomains=DOMAIN (docs/subdomains.md)"


def is_shared(service: Service) -> bool:
    """Whether more than this machine's users may have servers at one host name."""
    return service.subdomains is None and is_public(service)


def advice(service: Service) -> str:
    """Return what the log says of that at the start; empty where it does not matter."""
    return f"{WORDS}; {MEND}" if is_shared(service) else ""


def is_public(service: Service) -> bool:
    """Whether visitors come from elsewhere, as far as addresses in the settings tell."""
    host = urlsplit(service.public_url).hostname or ""
    if host and not (is_loopback(host) or host.endswith(".localhost")):
        return True
    listens = [service.listening.ip]
    if service.proxy.endpoint is None:
        listens.append(service.proxy.ip)
    return not all(map(is_loopback, listens))
