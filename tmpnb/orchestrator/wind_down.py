"""Remove what has to go when the service ends, for as long as something still goes."""

from __future__ import annotations

import asyncio
import logging

from tmpnb.core.pool import Pool
from tmpnb.core.server import Phase, StopReason
from tmpnb.orchestrator.changes import Changes
from tmpnb.orchestrator.lifecycle import Fleet

log = logging.getLogger(__name__)


async def wind_down(
    pool: Pool, fleet: Fleet, *, stop_claimed: bool, changes: Changes, patience: float
) -> None:
    """Stop the servers that nobody has, and return once they are gone.

    Args:
        pool: The servers there are.
        fleet: Stops them.
        stop_claimed: Whether those that visitors have are stopped as well.
        changes: Tells when a server has gone.
        patience: Seconds in which no server goes away, after which the next start has to.
    """
    leaving = {Phase.READY, Phase.CLAIMED} if stop_claimed else {Phase.READY}
    for server in tuple(pool.servers.values()):
        if server.phase in leaving:
            fleet.stop(server, StopReason.SHUTDOWN)
    try:
        while count := len(_unclaimed(pool)):
            async with asyncio.timeout(patience):
                while len(_unclaimed(pool)) >= count:
                    changes.taken_in()
                    await changes.wait()
    except TimeoutError:
        left = ", ".join(_unclaimed(pool))
        log.warning("could not remove in time: %s; the next start will", left)


def _unclaimed(pool: Pool) -> list[str]:
    return [s.id for s in pool.servers.values() if s.phase is not Phase.CLAIMED]
