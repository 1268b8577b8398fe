"""What a container reaches, tried from inside it. All of it blocks: call it through the door."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.errors import NotFound
from docker.utils.socket import SocketError

from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.hardening.limits import has_own_kernel
from tmpnb.spawners.docker.networks.bridges import BRIDGE
from tmpnb.spawners.docker.networks.subnets import PREFIX, prefix_for, subnets_of
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker_api.kind import Facts
from tmpnb.spawners.docker_api.threads import FAULTS
from tmpnb.spawners.egress import rules
from tmpnb.spawners.examination import ServerNetwork, Shares
from tmpnb.system.net.host_port import place

BRIDGED = "bridge"  # the engine's own network

# Runs inside, so it must do with any Python 3. All at once: a silence takes three seconds.
# The kernel may tell of a refusal a moment after it has ended the attempt, which looks like a
# connection until then; but a connection has a peer.
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reached(place):
    try:
        if place.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(3)
                one.connect(place[5:])
        else:
            host, _, port = place.rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port)), timeout=3) as one:
                one.getpeername()
    except OSError:
        return False
    return True
with ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(reached, sys.argv[1:]))))
"""

# Neither is known to the container's network: a socket to the machine below, which is closed as it
# was opened, and a ring of calls that goes past a filter of calls. The number is the same wherever
# Linux runs, but on Alpha.
OPENING = """
import ctypes, json, os, socket
VSOCK, SETUP = 40, 425
def vsock():
    try:
        socket.socket(VSOCK, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True
def io_uring():
    ring = ctypes.CDLL(None).syscall(SETUP, 1, ctypes.create_string_buffer(256))
    if ring >= 0:
        os.close(ring)
    return ring >= 0
print(json.dumps({"vsock": vsock(), "io_uring": io_uring()}))
"""


def opened(client: docker.APIClient, wanted: Mapping[str, Any]) -> dict[str, bool] | None:
    """Return which ways past its walls a container can open; None if it cannot be tried.

    Args:
        client: Of the engine.
        wanted: Selects the container.
    """
    found = client.containers(filters=wanted)
    if not found:
        return None
    try:
        order = client.exec_create(found[0]["Id"], ["python3", "-c", OPENING])
        answer = json.loads(client.exec_start(order))
    except (*FAULTS, SocketError, ValueError):
        return None
    if not isinstance(answer, dict):
        return None
    return {str(name): bool(is_open) for name, is_open in answer.items()}


def reached(
    client: docker.APIClient, wanted: Mapping[str, Any], places: Sequence[str]
) -> list[bool] | None:
    """Return for each place whether a connection can be made; None if it cannot be tried.

    Args:
        client: Of the engine.
        wanted: Selects the container.
        places: host:port, or unix:/path.
    """
    if not places:
        return []
    found = client.containers(filters=wanted)
    if not found:
        return None
    try:
        order = client.exec_create(found[0]["Id"], ["python3", "-c", PROBE, *places])
        answer = json.loads(client.exec_start(order))
    except (*FAULTS, SocketError, ValueError):
        return None
    return [bool(one) for one in answer] if len(answer) == len(places) else None


def place_of(client: docker.APIClient, wanted: Mapping[str, Any]) -> str | None:
    """Return where a server listens in its own network, host:port; None if it has none."""
    for found in client.containers(filters=wanted):
        networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
        for network in networks.values():
            if network.get("IPAddress"):
                return f"{network['IPAddress']}:{found['Labels'][listing.PORT]}"
    return None


def routeless(entry: Mapping[str, Any], options: Options) -> str:
    """Return the one network of a server by which it may ask for any address; "" for none. Pure.

    Where a card has no default route, the kernel takes what is sent by it to be for neighbours.
    """
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    if len(networks) != 1 or options.kind.podman or has_own_kernel(options.limits.runtime):
        return ""
    [(name, network)] = networks.items()
    return "" if (network or {}).get("Gateway") else str(name)


def engine_at(address: str) -> str:
    """Return the place of an engine with an address like DOCKER_HOST has it. Pure."""
    url = urlsplit(address)
    if url.scheme == "unix":
        return f"unix:{url.path}"
    return place(url.hostname, url.port or 2375) if url.hostname else ""


def shares(options: Options) -> Shares:
    """Return what servers have of the engine's machine together. Pure."""
    theirs = options.extra_host_config
    asks = options.egress != "none" and not (options.host_network or theirs.get("dns"))
    on_the_engines_own = options.network == BRIDGED  # whose containers ask by themselves
    runtime = str(options.limits.runtime or theirs.get("runtime") or "")
    return Shares(
        kernel=not has_own_kernel(runtime),
        open_files=options.limits.open_files,
        processes=options.limits.processes,
        name_server=asks and not on_the_engines_own,
    )


def server_networks(client: docker.APIClient, options: Options) -> list[ServerNetwork]:
    """Return the networks that each server is on, or will be once they are made."""
    if options.host_network or options.kind.podman:
        return []
    own = "a server's own"
    found = []
    if options.apart:
        bridge = rules.bridge(rules.OWN, own)
        found.append(ServerNetwork(own, bridge, 1 << (32 - PREFIX)))
    named = "" if options.apart else options.place or options.published_on or "bridge"
    names = filter(None, dict.fromkeys((named, options.way_out)))
    others = [_described(client, name, options) for name in names]
    if found and not has_own_kernel(options.limits.runtime):
        others = [replace(network, is_second=True) for network in others]
    return [*found, *others]


def _described(client: docker.APIClient, name: str, options: Options) -> ServerNetwork:
    try:
        network: Facts = client.inspect_network(name)
    except NotFound:
        bridge = rules.bridge(rules.OPEN, name)  # of ours, whatever it will be
        return ServerNetwork(name, bridge, 1 << (32 - prefix_for(options.capacity)))
    bridge = (network.get("Options") or {}).get(BRIDGE) or f"br-{str(network.get('Id'))[:12]}"
    sizes = [subnet.num_addresses for subnet in subnets_of(network)]
    return ServerNetwork(name, str(bridge), sum(sizes), network.get("EnableIPv6") is True)
