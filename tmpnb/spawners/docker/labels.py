"""What is written on a container, and how it is read back. Pure.

Labels say whose a container is; they are given when it is made and never change. The
name says when it was claimed, for a name is all the engine lets us change afterwards.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tmpnb.core.observation import Instance
from tmpnb.errors import SpawnerError
from tmpnb.system.net.host_port import place, reachable

MANAGED = "tmpnb.managed"
POOL = "tmpnb.pool"
SERVER = "tmpnb.server"
PORT = "tmpnb.port"  # the server listens on it, in its own network
CAPACITY = "tmpnb.capacity"  # of the pool, when the server was made
IP = "tmpnb.ip"  # where it listens on the engine's own network; only there
INTERNET_NETWORK = "tmpnb-internet"  # leads out alone; servers are reached by others, if they can

Entry = Mapping[str, Any]  # one container, as the engine lists it

# Whether a server in this state serves. Engines know no other states.
SERVES = {
    "running": True,
    "created": False,  # being started, or its start failed
    "paused": False,  # answers nobody until somebody resumes it
    "restarting": False,
    "removing": False,
    "exited": False,
    "dead": False,  # could not be removed in full
    # Podman's own
    "initialized": False,  # about to run
    "stopping": False,
    "stopped": False,  # ended, and not cleaned up yet
    "unknown": False,
}
# Its restart policy may bring it back.
RETURNING = frozenset({"exited", "restarting", "initialized", "stopping", "stopped"})


def labels(
    pool: str, server_id: str, port: int, ip: str | None, capacity: int = 0
) -> dict[str, str]:
    """Return the labels of a server's container.

    Args:
        pool: Whose it is.
        server_id: Which it is.
        port: That it listens on.
        ip: On the engine's own network only.
        capacity: Servers that the pool may have; 0: unknown.
    """
    own = {MANAGED: "true", POOL: pool, SERVER: server_id, PORT: str(port)}
    own |= {CAPACITY: str(capacity)} if capacity else {}
    return own if ip is None else own | {IP: ip}


def most_of_each_pool(entries: Iterable[Entry]) -> dict[str, int]:
    """Return how many servers each pool has among these, or may yet have by its newest one.

    Doctor's pool has those that are there: the capacity it knows is the operator's.
    """
    present: Counter[str] = Counter()
    newest: dict[str, tuple[int, int]] = {}
    for entry in entries:
        told = entry.get("Labels") or {}
        pool = str(told.get(POOL) or "")
        capacity = 0 if pool.startswith("_") else _count(str(told.get(CAPACITY) or ""))
        made = entry.get("Created")
        present[pool] += 1
        told_at = (made if isinstance(made, int) else 0, capacity)
        newest[pool] = max(newest.get(pool, told_at), told_at)
    return {pool: max(count, newest[pool][1]) for pool, count in present.items()}


def _count(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0


def selection(pool: str, server_id: str | None = None) -> dict[str, list[str]]:
    """Return the engine's filter for a pool, or for one server of it."""
    wanted = [f"{MANAGED}=true", f"{POOL}={pool}"]
    if server_id is not None:
        wanted.append(f"{SERVER}={server_id}")
    return {"label": wanted}


def container_name(pool: str, server_id: str, claimed_at: float | None = None) -> str:
    """Return the name of a server's container, which holds the time of its claim."""
    name = re.sub(r"[^a-zA-Z0-9_.-]", "-", f"tmpnb-{pool}-{server_id}")
    return name if claimed_at is None else f"{name}-claimed-{int(claimed_at)}"


def instance_of(entry: Entry) -> Instance:
    """Return what a listed container says.

    Raises:
        SpawnerError: It cannot be read, or is in a state that has no meaning here.
    """
    try:
        serves, state = is_serving(entry), entry["State"]
        return Instance(
            str(entry["Labels"][SERVER]),
            running=serves,
            created_at=float(entry["Created"]),
            claimed_at=claimed_at(entry),
            address=address_of(entry) if serves or state == "paused" else None,
            paused=state == "paused",
            returning=state in RETURNING,
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SpawnerError(f"Docker described a container in an unknown way: {error!r}") from error


def is_serving(entry: Entry) -> bool:
    """Return whether the container runs.

    Raises:
        SpawnerError: Its state is none of an engine's.
    """
    state = entry["State"]
    if state not in SERVES:
        raise SpawnerError(f"container {names_of(entry)} is in the unknown state {state!r}")
    return SERVES[state]


def claimed_at(entry: Entry) -> float | None:
    """Return when the server was claimed, in Unix time and whole seconds."""
    prefix = container_name(entry["Labels"][POOL], entry["Labels"][SERVER]) + "-claimed-"
    for name in names_of(entry):
        if name.startswith(prefix) and name.removeprefix(prefix).isdecimal():
            return float(name.removeprefix(prefix))
    return None


def names_of(entry: Entry) -> list[str]:
    """Return the container's names; the engine may leave them out while it removes one."""
    return [str(name).removeprefix("/") for name in entry.get("Names") or []]


def address_of(entry: Entry) -> str | None:
    """Return `http://host:port` of a running container, None if it has none yet.

    It comes from the container alone, so that servers of an orchestrator with other
    network settings are found as well.
    """
    port = int(entry["Labels"][PORT])
    if IP in entry["Labels"]:
        return _url(entry["Labels"][IP], port)
    published = [p for p in entry.get("Ports") or [] if p.get("PrivatePort") == port]
    published = [p for p in published if p.get("PublicPort")]
    if published:
        published.sort(key=lambda p: ":" in p.get("IP", ""))  # IPv4 first
        return _url(published[0].get("IP") or "0.0.0.0", published[0]["PublicPort"])  # noqa: S104 - read, not bound
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    for _, network in sorted(networks.items(), key=lambda named: named[0] == INTERNET_NETWORK):
        if ip := network.get("IPAddress") or network.get("GlobalIPv6Address"):
            return _url(ip, port)
    return None


def _url(ip: str, port: int) -> str:
    return f"http://{place(reachable(ip), port)}"
