"""Measure what the service does outside of itself: calls of engine and proxy, and passes."""

from __future__ import annotations

import enum
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tmpnb.core.counts import Durations, Tally
from tmpnb.system.border import Caller

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds

T = TypeVar("T")


class EngineCall(enum.StrEnum):
    """What an engine is asked for, by the methods of `Spawner`. A label of metrics."""

    PREPARE = "prepare"
    START = "start"
    STOP = "stop"
    LIST = "list"
    ADDRESSES = "addresses"
    MARK_CLAIMED = "mark_claimed"
    LOGS = "logs"
    CPU_SECONDS = "cpu_seconds"


class ProxyCall(enum.StrEnum):
    """What a proxy is asked for, by the methods of `Proxy`. A label of metrics."""

    LIST_ROUTES = "list_routes"
    ROUTE_EXISTS = "route_exists"
    ADD_ROUTE = "add_route"
    DELETE_ROUTE = "delete_route"


class Outcome(enum.StrEnum):
    """How it went. A label of metrics."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"  # whoever asked waits no longer: past its deadline, or we end


class Meter:
    """How one kind of work goes, and how long it takes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing; `clock` tells seconds."""
        self.outcomes, self.durations = Tally(Outcome), Durations(BOUNDS)
        self._clock = clock

    async def of(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, note how it goes, and return or raise what it does."""
        begun, caller, outcome = self._clock(), Caller(), Outcome.FAILED
        try:
            result = await work()
        except BaseException as error:
            if caller.is_ended_by(error):
                outcome = Outcome.CANCELLED
            raise
        else:
            outcome = Outcome.OK
            return result
        finally:
            self.outcomes.count(outcome)
            self.durations.note(self._clock() - begun)


class Meters:
    """All meters of one service."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.engine = {call: Meter() for call in EngineCall}
        self.proxy = {call: Meter() for call in ProxyCall}
        self.passes = Meter()
