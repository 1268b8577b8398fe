"""The pool in numbers: a page for people, and the body of `/stats` for programs."""

from __future__ import annotations

from typing import Any

from tmpnb.web.base import BaseHandler, Site


class InfoHandler(BaseHandler):
    """`/info`: the pool in numbers, for people."""

    measured = True

    async def get(self) -> None:
        """Show the numbers of `/api/stats`; the page's script keeps them fresh."""
        self.page("info.html", stats=stats(self.site))

    head = get


def stats(site: Site) -> dict[str, Any]:
    """Return the body of `/stats`: the original's keys and those added to them."""
    return {
        **site.orchestrator.pool.stats().as_dict(),
        "waiting": site.orchestrator.claims.waiting,
        "claims_refused_by_limit_total": site.gate.limits.refused,
        "version": site.version,
        "container_image": site.orchestrator.image,
    }
