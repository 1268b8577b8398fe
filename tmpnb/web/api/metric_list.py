"""What `/metrics` tells: each metric with its type, its labels, its help and where it is read."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tmpnb.access.gate import Gate
from tmpnb.core.counts import Durations
from tmpnb.core.pool import PoolStats
from tmpnb.core.refusals import Refusal
from tmpnb.core.server import Phase, StopReason
from tmpnb.orchestrator.claims.claim_meter import Given
from tmpnb.orchestrator.loop import Orchestrator
from tmpnb.orchestrator.meters import EngineCall, Meter, Meters, Outcome, ProxyCall


class Kind(enum.StrEnum):
    """The types of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at the service, all in memory: neither engine nor proxy are asked."""

    stats: PoolStats
    orchestrator: Orchestrator
    gate: Gate
    version: str
    now: float  # Unix time in seconds, by the system's clock

    @property
    def meters(self) -> Meters:
        """What measures calls and passes."""
        return self.orchestrator.parts.meters


Value = float | Durations
Series = Iterable[tuple[tuple[str, ...], Value]]  # the values of the labels, and what is told


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, with all its series."""

    name: str  # in full, as Prometheus stores it
    kind: Kind
    help: str
    labels: Mapping[str, tuple[str, ...]]  # each with all values it can have; none: any one
    read: Callable[[Sight], Series]


def look(orchestrator: Orchestrator, gate: Gate, version: str) -> Sight:
    """Return the service as it is now."""
    return Sight(orchestrator.pool.stats(), orchestrator, gate, version, time.time())


def _gauge(name: str, help: str, value: Callable[[Sight], float]) -> Metric:
    return Metric(name, Kind.GAUGE, help, {}, lambda sight: [((), value(sight))])


def _phases(sight: Sight) -> Series:
    stats = sight.stats
    yield (Phase.STARTING,), stats.starting
    yield (Phase.READY,), stats.available
    yield (Phase.CLAIMED,), stats.claimed
    yield (Phase.STOPPING,), stats.stopping


def _refusals(sight: Sight) -> Series:
    counts = dict(sight.orchestrator.pool.refusals)
    for why, count in sight.gate.refusals():
        counts[why] += count
    return [((why,), counts[why]) for why in Refusal]


def _ends(sight: Sight) -> Series:
    for (reason, had_visitor), count in sight.orchestrator.pool.ends:
        yield (reason, str(had_visitor).lower()), count


def _claims(sight: Sight) -> Series:
    for given, durations in sight.orchestrator.claims.meter.durations.items():
        yield (given,), durations


def _counts(meters: Iterable[tuple[str, Meter]]) -> Iterator[tuple[tuple[str, ...], Value]]:
    for operation, meter in meters:
        for outcome, count in meter.outcomes:
            yield (operation, outcome), count


def _durations(meters: Iterable[tuple[str, Meter]]) -> Iterator[tuple[tuple[str, ...], Value]]:
    for operation, meter in meters:
        yield (operation,), meter.durations


def _last_pass(sight: Sight) -> float:
    age = sight.orchestrator.health.last_pass_age()
    return 0.0 if age is None else sight.now - age


METRICS: tuple[Metric, ...] = (
    Metric(
        "tmpnb_build_info",
        Kind.GAUGE,
        "Always 1; the label is the version of tmpnb.",
        {"version": ()},
        lambda s: [((s.version,), 1)],
    ),
    Metric(
        "tmpnb_image_info",
        Kind.GAUGE,
        "Always 1; the label is the image that new servers are started from, empty where the "
        "engine has none.",
        {"image": ()},
        lambda s: [((s.orchestrator.image,), 1)],
    ),
    _gauge(
        "tmpnb_capacity",
        "Servers there may be in all phases together.",
        lambda s: s.stats.capacity,
    ),
    Metric(
        "tmpnb_servers",
        Kind.GAUGE,
        "Servers there are, by their phase.",
        {"phase": (Phase.STARTING, Phase.READY, Phase.CLAIMED, Phase.STOPPING)},
        _phases,
    ),
    _gauge(
        "tmpnb_waiting_visitors",
        "Visitors in line for a server.",
        lambda s: s.orchestrator.claims.waiting,
    ),
    _gauge(
        "tmpnb_open_problems",
        "Problems that /health names now.",
        lambda s: len(s.orchestrator.health.problems),
    ),
    _gauge(
        "tmpnb_last_pass_timestamp_seconds",
        "When engine and proxy were last read in full, in Unix time; 0 before the first time.",
        _last_pass,
    ),
    Metric(
        "tmpnb_claims_total",
        Kind.COUNTER,
        "Servers given out.",
        {},
        lambda s: [((), s.stats.claims_total)],
    ),
    Metric(
        "tmpnb_claims_refused_total",
        Kind.COUNTER,
        "Requests for a server that were not met at once, by reason; many of these visitors "
        "then wait in line.",
        {"reason": tuple(Refusal)},
        _refusals,
    ),
    Metric(
        "tmpnb_servers_ended_total",
        Kind.COUNTER,
        "Servers that began to stop, by reason and by whether a visitor had them.",
        {"reason": tuple(StopReason), "claimed": ("true", "false")},
        _ends,
    ),
    Metric(
        "tmpnb_passes_total",
        Kind.COUNTER,
        "Passes of the loop that compares engine and proxy with the pool, by outcome.",
        {"outcome": tuple(Outcome)},
        lambda s: [((outcome,), count) for outcome, count in s.meters.passes.outcomes],
    ),
    Metric(
        "tmpnb_engine_calls_total",
        Kind.COUNTER,
        "Calls to the engine's driver, by operation and outcome.",
        {"operation": tuple(EngineCall), "outcome": tuple(Outcome)},
        lambda s: _counts(s.meters.engine.items()),
    ),
    Metric(
        "tmpnb_proxy_calls_total",
        Kind.COUNTER,
        "Calls to the proxy's API, by operation and outcome.",
        {"operation": tuple(ProxyCall), "outcome": tuple(Outcome)},
        lambda s: _counts(s.meters.proxy.items()),
    ),
    Metric(
        "tmpnb_claim_duration_seconds",
        Kind.HISTOGRAM,
        "From the request until the server is handed over, without any wait in line.",
        {"server": tuple(Given)},
        _claims,
    ),
    Metric(
        "tmpnb_line_wait_seconds",
        Kind.HISTOGRAM,
        "How long visitors waited in line who then got a server.",
        {},
        lambda s: [((), s.orchestrator.claims.meter.waits)],
    ),
    Metric(
        "tmpnb_server_start_duration_seconds",
        Kind.HISTOGRAM,
        "From the decision to start a server until it answers.",
        {},
        lambda s: [((), s.orchestrator.pool.starts)],
    ),
    Metric(
        "tmpnb_pass_duration_seconds",
        Kind.HISTOGRAM,
        "How long a pass took.",
        {},
        lambda s: [((), s.meters.passes.durations)],
    ),
    Metric(
        "tmpnb_engine_call_duration_seconds",
        Kind.HISTOGRAM,
        "How long a call to the engine's driver took, including any wait for its turn.",
        {"operation": tuple(EngineCall)},
        lambda s: _durations(s.meters.engine.items()),
    ),
    Metric(
        "tmpnb_proxy_call_duration_seconds",
        Kind.HISTOGRAM,
        "How long a call to the proxy's API took.",
        {"operation": tuple(ProxyCall)},
        lambda s: _durations(s.meters.proxy.items()),
    ),
)
