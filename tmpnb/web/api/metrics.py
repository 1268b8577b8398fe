"""`/metrics`: the service's metrics in Prometheus's formats."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError

from tmpnb.web.admin.operator import OperatorHandler
from tmpnb.web.api.metric_list import look
from tmpnb.web.base import BaseHandler, Site

if TYPE_CHECKING:
    from tmpnb.web.api.exposition import Exposition

COMPRESSION = 1  # of 9: most of what there is to gain, in a fraction of the time
FRESH = 1.0  # seconds for which the public is told the same, so that it costs nothing to ask again


def metrics_of(site: Site, fresh: float = 0.0) -> dict[str, Any]:
    """Return what the handlers below need; `fresh` as `Exposition` has it."""
    orchestrator, gate, version = site.orchestrator, site.gate, site.version

    @cache
    def exposition() -> Exposition:
        from tmpnb.web.api.exposition import Exposition  # whose library is no part of a start

        return Exposition(lambda: look(orchestrator, gate, version), fresh)

    return {"site": site, "exposition": exposition}


class MetricsHandler(BaseHandler):
    """`GET /metrics` on the public port, only with --public-metrics."""

    def initialize(self, site: Site, exposition: Callable[[], Exposition] | None = None) -> None:
        """Take what the URL table gives."""
        super().initialize(site)
        assert exposition is not None  # noqa: S101 - the table has it
        self._exposition = exposition

    def wants_json(self) -> bool:
        """Whether the client is a program: always, for people there is `/info`."""
        return True

    async def get(self) -> None:
        """Answer with all metrics, as text or OpenMetrics by `Accept`, compressed if asked."""
        self.require_reader()
        body, content_type = self._exposition().written(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.set_header("Vary", "Accept, Accept-Encoding")
        if _takes_gzip(self.request.headers.get("Accept-Encoding", "")):
            self.set_header("Content-Encoding", "gzip")
            body = gzip.compress(body, COMPRESSION)
        self.finish(body)

    head = get

    def require_reader(self) -> None:
        """Require permission to read them.

        Raises:
            HTTPError: 404 where they are for the operator alone; 401 without the API token.
        """
        if not self.site.public_metrics:
            raise HTTPError(404)
        self.require_token(self.site.api_token)


class OperatorMetricsHandler(OperatorHandler, MetricsHandler):
    """`GET /metrics` on the admin port."""

    def require_reader(self) -> None:
        """Allow all: others were rejected before."""


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether a header asks for gzip by its name, and not with a weight of 0."""
    for offer in accept_encoding.split(","):
        coding, _, weight = offer.replace(" ", "").lower().partition(";q=")
        if coding == "gzip":
            return weight.strip("0.") != "" or not weight
    return False
