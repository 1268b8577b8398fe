"""Take in the servers that a former orchestrator gave to visitors."""

from __future__ import annotations

import logging

from tmpnb.core.observation import Observation
from tmpnb.core.plan import adopt
from tmpnb.core.pool import Pool
from tmpnb.orchestrator.claims.claim_writer import Marks
from tmpnb.orchestrator.claims.keeps import Keeps

log = logging.getLogger(__name__)


def take_over(seen: Observation, pool: Pool, marks: Marks, keeps: Keeps) -> None:
    """Add to an empty pool what visitors have, by the word of engine, proxy and journal."""
    adopted = {s.id: s for s in adopt(seen.with_claims(marks.read()))}
    for server in adopted.values():
        pool.add(server)
        log.info("server adopted id=%s address=%s", server.id, server.address)
    keeps.restore(adopted.values())
    marked = {i for i, instance in seen.instances.items() if instance.claimed_at is not None}
    marks.begin({i: adopted[i] for i in adopted.keys() - marked})
