"""Decide what to do next, from what is and what should be. Pure.

`plan` is called with one observation of the engine and the proxy. It returns
actions and performs none, so every rule in it is a unit test without a clock,
a loop or a container. The rules are numbered in docs/architecture.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from tmpnb.core.observation import Instance, Observation
from tmpnb.core.rotation import Unclaimed, oldest_first, why_replaced
from tmpnb.core.server import NotebookServer, Phase, StopReason

LEAVING = frozenset({Phase.STOPPING, Phase.GONE})


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits an operator sets. Times in seconds."""

    capacity: int  # servers in all phases but GONE
    min_ready: int  # unclaimed servers to keep while there is room
    max_idle: float
    max_age: float
    max_burning: float = float("inf")  # at full speed, with nobody there
    grace: float = 30.0  # an instance younger than this is never unknown
    comeback: float = 30.0  # for the engine to start a claimed server again by itself
    ready_max_age: float = float("inf")  # an unclaimed server older than this is replaced
    replaced_at_once: int = 1  # unclaimed servers


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions for one pass, each safe to repeat."""

    stop: Mapping[str, StopReason] = field(default_factory=dict)
    give_up: frozenset[str] = frozenset()  # starts whose instance has ended already
    add_routes: Mapping[str, str] = field(default_factory=dict)  # server id -> target
    delete_routes: frozenset[str] = frozenset()
    launch: int = 0


def plan(seen: Observation, servers: Mapping[str, NotebookServer], policy: Policy) -> Plan:
    """Compare `seen` with `servers` and return what brings them together.

    A server that changed after the observation began is left for the next pass:
    the observation cannot speak about it.
    """
    stop: dict[str, StopReason] = {}
    settled = [s for s in servers.values() if s.since < seen.taken_at]
    for server in settled:
        reason = _stop_reason(server, seen, policy)
        if reason is not None:
            stop[server.id] = reason
    for instance in seen.instances.values():
        young = seen.taken_at - instance.created_at < policy.grace
        if instance.server_id not in servers and not young:
            stop[instance.server_id] = StopReason.UNKNOWN
    stop |= _surplus(settled, servers, stop, policy)
    outdated = _outdated(settled, stop, seen, policy)
    unclaimed = _unclaimed(outdated, servers, stop, policy)
    replaced = unclaimed.to_stop(policy.replaced_at_once)
    return Plan(
        stop=stop | {s.id: outdated[s.id] for s in replaced},
        give_up=frozenset(s.id for s in settled if _start_is_lost(s, seen)),
        add_routes=_missing_routes(settled, seen, stop),
        delete_routes=frozenset(set(seen.routes) - set(servers) - set(stop)),
        launch=unclaimed.to_launch(policy.replaced_at_once),
    )


def adopt(seen: Observation) -> list[NotebookServer]:
    """Return the claimed servers a former orchestrator left behind.

    Claimed means: its instance carries the claim's mark, or the proxy still routes
    to it; and it runs, or may do so again by itself. Everything else of this pool
    has an unknown history and must never be handed out; `plan` stops it.
    """
    adopted = []
    for instance in seen.instances.values():
        claimed = instance.claimed_at is not None or instance.server_id in seen.routes
        if not (claimed and (instance.running or instance.paused or instance.returning)):
            continue
        claimed_at = instance.claimed_at or instance.created_at
        adopted.append(
            NotebookServer(
                instance.server_id,
                since=claimed_at,
                phase=Phase.CLAIMED,
                created_at=instance.created_at,
                claimed_at=claimed_at,
                address=instance.address,
            )
        )
    return adopted


def _start_is_lost(server: NotebookServer, seen: Observation) -> bool:
    """Whether a start waits for an instance that was there and runs no more."""
    if server.phase is not Phase.STARTING or server.id not in seen.launched:
        return False
    instance = seen.instances.get(server.id)
    return instance is None or not instance.running


def _stop_reason(server: NotebookServer, seen: Observation, policy: Policy) -> StopReason | None:
    if server.phase not in (Phase.READY, Phase.CLAIMED):
        return None  # starting and stopping belong to the task that does it
    if _is_lost(server, seen, policy):
        return StopReason.EXITED
    if server.phase is Phase.READY:
        return None
    claimed_at = server.since if server.claimed_at is None else server.claimed_at
    if seen.taken_at - claimed_at > policy.max_age:
        return StopReason.TOO_OLD
    if seen.culling and seen.taken_at - _last_alive(server, seen) > policy.max_idle:
        return StopReason.IDLE
    if server.id in seen.burning:
        return StopReason.BURNING
    return None


def _is_lost(server: NotebookServer, seen: Observation, policy: Policy) -> bool:
    """Whether a ready server is not to be handed out, or a visitor's will not come back."""
    instance = seen.instances.get(server.id)
    if instance is None or instance.ended:
        return True
    if server.phase is Phase.READY:  # at another address: the engine has started it anew
        return not instance.running or instance.address != server.address
    if instance.running or instance.paused:
        return False
    down_since = seen.down_since.get(server.id, seen.taken_at)
    return not instance.returning or seen.taken_at - down_since > policy.comeback


def _last_alive(server: NotebookServer, seen: Observation) -> float:
    """Return the last sign of life: the server's own word; the proxy's clock if it never tells."""
    known = max(server.claimed_at or server.since, server.kept_at or 0.0)
    if server.id in seen.activity:
        return max(known, seen.activity[server.id])
    route = seen.routes.get(server.id)
    if server.id not in seen.silent or route is None:
        return seen.taken_at  # nothing says that it is idle; a lost route comes back in this pass
    return max(known, route.last_activity)


def _surplus(
    settled: Iterable[NotebookServer],
    servers: Mapping[str, NotebookServer],
    stop: Mapping[str, StopReason],
    policy: Policy,
) -> dict[str, StopReason]:
    """Return ready servers above the capacity, oldest first; those that leave make room."""
    staying = [s for s in servers.values() if s.phase not in LEAVING and s.id not in stop]
    ready = [s for s in settled if s.phase is Phase.READY and s.id not in stop]
    ready.sort(key=lambda s: s.since)
    excess = max(0, len(staying) - policy.capacity)
    return {s.id: StopReason.SURPLUS for s in ready[:excess]}


def _missing_routes(
    settled: Iterable[NotebookServer], seen: Observation, stop: Mapping[str, StopReason]
) -> dict[str, str]:
    """Return routes that are absent or lead elsewhere; others are not posted again.

    The proxy resets a route's last activity at each POST, so a repeat would make
    its server immortal.
    """
    missing = {}
    for server in settled:
        if server.phase is not Phase.CLAIMED or server.id in stop:
            continue
        target = _address(server, seen.instances)
        route = seen.routes.get(server.id)
        if target is not None and (route is None or route.target != target):
            missing[server.id] = target
    return missing


def _address(server: NotebookServer, instances: Mapping[str, Instance]) -> str | None:
    instance = instances.get(server.id)
    return (instance.address if instance else None) or server.address or None


def _outdated(
    settled: Iterable[NotebookServer],
    stop: Mapping[str, StopReason],
    seen: Observation,
    policy: Policy,
) -> dict[str, StopReason]:
    """Return the ready servers that others are to replace, and why."""
    found = {}
    for server in settled:
        reason = why_replaced(server, seen.taken_at, policy.ready_max_age)
        if reason is not None and server.id not in stop:
            found[server.id] = reason
    return found


def _unclaimed(
    outdated: Collection[str],
    servers: Mapping[str, NotebookServer],
    stop: Mapping[str, StopReason],
    policy: Policy,
) -> Unclaimed:
    """Count what there is; what stops now keeps its place until it is gone."""
    taken = {s.id for s in servers.values() if s.phase is not Phase.GONE} | set(stop)
    phases = Counter(s.phase for s in servers.values() if s.id not in stop)
    return Unclaimed(
        old=oldest_first(servers[server_id] for server_id in outdated),
        ready=phases[Phase.READY],
        starting=phases[Phase.STARTING],
        stopping=phases[Phase.STOPPING] + len(stop),
        room=policy.capacity - len(taken),
        wanted=policy.min_ready,
    )
