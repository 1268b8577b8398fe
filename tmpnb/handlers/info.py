"""The pool in numbers: a page for people, and the body of `/stats` for programs."""

from __future__ import annotations

from typing import Any

from tmpnb.handlers.base import BaseHandler


class InfoHandler(BaseHandler):
    """`/info`: the pool in numbers, for people."""

    measured = True

    async def get(self) -> None:
        """Show the numbers of `/api/stats`; the page's script keeps them fresh."""
        self.page("info.html", stats=stats(self))

    head = get


def stats(handler: BaseHandler) -> dict[str, Any]:
    """Return the body of `/stats`: the original's keys and those added to them."""
    numbers = handler.site.orchestrator.pool.stats().as_dict()
    return {
        **numbers,
        "waiting": handler.site.orchestrator.claims.waiting,
        "claims_refused_by_limit_total": handler.site.gate.limits.refused,
        "version": handler.site.version,
        "container_image": handler.site.orchestrator.image,
    }
