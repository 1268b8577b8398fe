"""Make networks in Docker, and see whether one that is there closes what it shall. Blocks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound

from tmpnb import firewall_rules
from tmpnb.errors import ConfigError
from tmpnb.spawners.docker_door import explain
from tmpnb.spawners.docker_kind import Facts

log = logging.getLogger(__name__)

ICC = "com.docker.network.bridge.enable_icc"  # traffic between containers
BRIDGE = "com.docker.network.bridge.name"
NO_GATEWAY = "com.docker.network.bridge.inhibit_ipv4"  # the machine has no address there


def ensure(
    client: docker.APIClient,
    name: str,
    labels: Mapping[str, str],
    *,
    closed: bool,
    bridge: str = "",
) -> None:
    """Make the network `name` unless it is there.

    Args:
        client: Of the engine.
        name: Of the network.
        labels: For one that is made.
        closed: Whether nothing may lead out of it, nor from one container to another.
        bridge: The interface of a network that leads out by the firewall's rules, and not from
            one container to another; "" for another network.

    Raises:
        ConfigError: The engine will not have such a network, or has one that is not closed.
    """
    try:
        found = client.inspect_network(name)
    except NotFound:
        log.info("network make name=%s", name)
    else:
        if closed and (reason := openness(found)):
            raise ConfigError(
                f"--docker-network={name}: it is there, and {reason}; for --egress=none remove it"
                f" (docker network rm {name}), or name another"
            )
        if bridge and (reason := unguarded(found, bridge)):
            raise ConfigError(
                f"--docker-network={name}: it is there, and {reason}; for --egress=internet remove"
                f" it (docker network rm {name}), or name another"
            )
        return
    bounds: dict[str, Any] = {"internal": True, "options": {ICC: "false"}} if closed else {}
    if bridge:
        bounds = {"options": {ICC: "false", BRIDGE: bridge}}
    try:
        client.create_network(
            name, driver="bridge", labels=dict(labels), check_duplicate=True, **bounds
        )
    except APIError as error:
        # Docker's word and Podman's for it: somebody was quicker.
        if error.status_code != requests.codes.conflict and "already exists" not in str(error):
            raise ConfigError(
                f"--docker-network={name}: there is none, and it cannot be made: {explain(error)}"
            ) from error


def openness(network: Facts) -> str | None:
    """Return why a network is not closed; None if it is. Pure."""
    if not network.get("Internal"):
        return "leads to the outside"
    if (network.get("Options") or {}).get(ICC) != "false":
        return "lets servers reach each other"
    return None


def unguarded(network: Facts, bridge: str) -> str | None:
    """Return why the firewall's rules do not hold for a network; None if they do. Pure."""
    options = network.get("Options") or {}
    if network.get("Internal"):
        return "does not lead out"
    if options.get(BRIDGE) != bridge:
        return "its interface has not the name that the firewall's rules go by"
    return None if options.get(ICC) == "false" else "lets servers reach each other"


def make_network(
    client: docker.APIClient, name: str, subnet: IPv4Network, labels: Mapping[str, str]
) -> None:
    """Make a network that leads nowhere, not even to the engine's machine.

    Raises:
        APIError: The engine refused.
    """
    pool = docker.types.IPAMPool(subnet=str(subnet))
    client.create_network(
        name,
        driver="bridge",
        internal=True,
        options={NO_GATEWAY: "true", BRIDGE: firewall_rules.bridge(firewall_rules.OWN, name)},
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        labels=dict(labels),
    )
