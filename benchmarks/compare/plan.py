"""How much `compare.run` measures: all of it, or a quick look."""

from __future__ import annotations

import os
from dataclasses import dataclass

STARTS_AT_ONCE = 2 * (os.cpu_count() or 1)  # tmpnb's default, and so the floor's


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of a run."""

    name: str
    rounds: int  # in which the systems take turns
    visitors: tuple[int, ...]  # who come at once, one group after the other
    singles: int  # how often the group of one comes in a round
    cells: int  # visits with a browser, each system, cold and warm
    arrivals: int  # in one second, on a full pool of tiny servers
    pools: tuple[int, ...]  # sizes at which a claim's cost is measured
    claims: int  # for that cost, at each size
    tiny_refill: int  # tiny servers
    refill: int  # notebook servers
    hub_servers: int  # tiny servers, for the hub's memory
    seconds: float  # of requests through the proxy, each way and round
    echoes: int  # through the proxy, each way and round

    @property
    def notebooks(self) -> int:
        """How many servers the visitors of one round need."""
        return sum(self.visitors) + self.singles - 1


FULL = Plan(
    name="full",
    rounds=2,
    visitors=(1, 10, 30),
    singles=3,
    cells=1,
    arrivals=300,
    pools=(10, 100, 500),
    claims=30,
    tiny_refill=60,
    refill=12,
    hub_servers=60,
    seconds=3.0,
    echoes=500,
)
QUICK = Plan(
    name="quick",
    rounds=1,
    visitors=(1, 4),
    singles=1,
    cells=1,
    arrivals=60,
    pools=(10, 70),
    claims=10,
    tiny_refill=24,
    refill=6,
    hub_servers=10,
    seconds=1.0,
    echoes=100,
)
