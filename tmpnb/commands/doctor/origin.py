"""Whether browsers keep visitors apart, and pages of others from taking notebooks."""

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
        return ok(
            TOPIC, f"each server has a host name of its own below {service.subdomains.domain}"
        )
    if one_origin.is_shared(service):
        return warn(TOPIC, *one_origin.words(service))
    if service.public_url:
        return ok(TOPIC, "all servers share one host name, for visitors of this machine alone")
    return ok(
        TOPIC,
        "all servers share one host name, and the proxy listens on this machine alone; if a front "
        "server on it leads others here, set --public-url and ask again",
    )


def names_finding(service: Service) -> Finding:
    """Say whether a page can take notebooks by a name of its own that leads here."""
    if not service.hosts.any_name:
        return ok(NAMES, "notebooks are given out under the service's own names alone")
    return warn(
        NAMES,
        "notebooks are given out under any name, also to a web page that makes its own name lead "
        "here (DNS rebinding)",
        "--public-url=URL, where visitors find the service",
    )
