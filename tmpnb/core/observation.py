"""What one look at the engine and the proxy found. Values only.

Spawners and the proxy client produce these, `reconcile` judges them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Instance:
    """One container, process or pod that carries this pool's labels."""

    server_id: str
    running: bool
    created_at: float  # Unix time in seconds
    claimed_at: float | None = None  # Unix time in seconds of `mark_claimed`; None: never
    address: str | None = None  # http://host:port where it serves; None: not known
    paused: bool = False  # not running: held by somebody, and serves on once resumed
    returning: bool = False  # not running: the engine may start it again by itself
    ended: bool = False  # by itself, with exit status 0; the engine may have started it again


@dataclass(frozen=True, slots=True)
class Used:
    """What one server has used, all its processes included."""

    cpu_seconds: float  # of processors, since its start
    memory: int | None = None  # bytes now; None: not known


@dataclass(frozen=True, slots=True)
class Route:
    """One proxy route that this pool added."""

    server_id: str
    last_activity: float  # Unix time in seconds; the proxy sets it
    target: str  # http://host:port


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything seen in one pass. All of it was read in full, or there is none."""

    taken_at: float  # Unix time in seconds, from just before the first read
    instances: Mapping[str, Instance]
    routes: Mapping[str, Route]
    # Servers in STARTING whose engine call had returned before the first read.
    launched: frozenset[str] = frozenset()
    # Since when those were seen not running that did not run at the last look either.
    down_since: Mapping[str, float] = field(default_factory=dict)  # Unix time in seconds
    # Only in a culling pass: last sign of life by server id, Unix time in seconds,
    # for the claimed servers that told it themselves, just before.
    activity: Mapping[str, float] = field(default_factory=dict)
    # Only in a culling pass: those that were asked again and again and never told.
    silent: frozenset[str] = frozenset()
    # Only in a culling pass: those that computed for too long with nobody there.
    burning: frozenset[str] = frozenset()
    culling: bool = False  # whether idleness is judged in this pass

    def without(self, server_ids: Collection[str]) -> Self:
        """Return it without some servers: they have left since it was taken."""
        if not server_ids:
            return self
        return replace(
            self,
            instances={i: one for i, one in self.instances.items() if i not in server_ids},
            routes={i: one for i, one in self.routes.items() if i not in server_ids},
        )

    def with_claims(self, claims: Mapping[str, float]) -> Self:
        """Return it with claims that the engine does not know yet, Unix time in seconds by id."""
        instances = {
            i: replace(instance, claimed_at=claims[i])
            if i in claims and instance.claimed_at is None
            else instance
            for i, instance in self.instances.items()
        }
        return replace(self, instances=instances)
