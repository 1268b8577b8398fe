"""Whether browsers keep the visitors of a public service apart."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from tmpnb import one_origin
from tmpnb.finding import Finding, ok, warn
from tmpnb.service import Service

TOPIC = "origin"


async def findings(service: Service) -> AsyncGenerator[Finding, None]:
    """Yield the one finding."""
    yield origin_finding(service)


def origin_finding(service: Service) -> Finding:
    """Say whether all servers share one origin, and for whom that matters."""
    if service.subdomains is not None:
        return ok(
            TOPIC, f"each server has a host name of its own below {service.subdomains.domain}"
        )
    if one_origin.is_shared(service):
        return warn(TOPIC, one_origin.WORDS, one_origin.MEND)
    return ok(TOPIC, "all servers share one host name, for visitors of this machine alone")
