"""What a Docker engine sees of a running server. All of it blocks: call it through the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import docker
from docker.utils.socket import SocketError

from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.networks import reach
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker_api.threads import FAULTS
from tmpnb.spawners.examination import ServerFacts
from tmpnb.system.net import proc_net

SOCKETS = ["cat", "/proc/net/tcp", "/proc/net/tcp6"]  # of the network a container is in
DOCKERS_OWN = "127.0.0.11"  # in each container of a network: its name server


def server_facts(
    client: docker.APIClient, wanted: Mapping[str, Any], options: Options
) -> ServerFacts:
    """Return what is known of the one container that `wanted` selects."""
    found = client.containers(filters=wanted)
    if not found:
        return ServerFacts()
    container, port = found[0]["Id"], int(found[0]["Labels"][listing.PORT])
    seen = _listeners(client, container), _memory(client, container)
    allowed, routeless = options.limits.root_allowed, reach.routeless(found[0], options)
    return ServerFacts(port, *seen, allowed, routeless)


def _listeners(client: docker.APIClient, container: str) -> tuple[proc_net.Listener, ...] | None:
    """Return who listens in the container; None if its image has no `cat` to look with."""
    try:
        order = client.exec_create(container, SOCKETS)
        table = client.exec_start(order).decode(errors="replace")
    except (*FAULTS, SocketError):
        return None
    if "local_address" not in table:
        return None
    return tuple(one for one in proc_net.parse(table) if one.ip != DOCKERS_OWN)


def _memory(client: docker.APIClient, container: str) -> int | None:
    """Return bytes in use, without what is only cached from its files."""
    try:
        about = client.stats(container, stream=False)["memory_stats"]
        details = about.get("stats", {})
        cached = details.get("total_inactive_file", details.get("inactive_file", 0))
        return max(0, int(about["usage"]) - int(cached))
    except (*FAULTS, LookupError, TypeError):
        return None
