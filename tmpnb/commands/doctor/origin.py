"""Whether browsers isolate visitors from each other, and foreign pages from taking notebooks."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from tmpnb.settings.advice import one_origin
from tmpnb.settings.service import Service
from tmpnb.spawners.finding import Finding, ok, warn

TOPIC, NAMES = "origin", "names"


async def findings(service: Service) -> AsyncGenerator[Finding, None]:
    """Yield what is found."""
    yield origin_finding(service)
    yield names_finding(service)


def origin_finding(service: Service) -> Finding:
    """Say whether all servers share one origin, and for whom that matters."""
    if service.subdomains is not None:
        return ok(TOPIC, f"each server has its own host name under {service.subdomains.domain}")
    if one_origin.is_shared(service):
        return warn(TOPIC, *one_origin.words(service))
    if service.public_url:
        return ok(TOPIC, "all servers share one host name, for visitors on this machine only")
    return ok(
        TOPIC,
        "all servers share one host name, and the proxy listens on loopback only; if a "
        "reverse proxy on this machine forwards others here, set --public-url and run "
        "doctor again",
    )


def names_finding(service: Service) -> Finding:
    """Report whether a page can take notebooks by pointing its own name here."""
    if not service.hosts.any_name:
        return ok(NAMES, "notebooks are served only under the service's own host names")
    return warn(
        NAMES,
        "notebooks are served under any host name, even to a web page that points its "
        "own name here (DNS rebinding)",
        "--public-url=URL, the public address of the service",
    )
