"""Make networks in Podman that Docker's API has no words for. Blocks: call it through the door."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

import docker
import requests
from docker.errors import create_api_error_from_http_exception

API = "v4.0.0/libpod"  # Podman's own, at the same socket; later versions know it as well


def make(
    client: docker.APIClient,
    name: str,
    subnet: IPv4Network,
    labels: Mapping[str, str],
    *,
    reachable: bool,
) -> None:
    """Make a network that leads nowhere and has no name server.

    Podman's name server asks the outside in a container's place, and a network made by
    Docker's API always has one.

    Args:
        client: Of the engine.
        name: Of the network.
        subnet: Of its addresses.
        labels: That it carries.
        reachable: Whether the machine has an address there and reaches its containers.

    Raises:
        APIError: Podman refused.
    """
    where = f"{client.base_url}/{API}/networks/create"
    wanted = wish(name, subnet, labels, reachable)
    answer = client.post(where, json=wanted, timeout=client.timeout)
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)


def wish(
    name: str, subnet: IPv4Network, labels: Mapping[str, str], reachable: bool
) -> dict[str, Any]:
    """Return the network in Podman's words. Pure; the arguments are those of `make`."""
    addresses = {"subnet": str(subnet)}
    if reachable:
        addresses["gateway"] = str(subnet[1])
    return {
        "name": name,
        "driver": "bridge",
        "internal": True,
        "dns_enabled": False,
        "subnets": [addresses],
        "labels": dict(labels),
        "options": {"isolate": "true"},
    }
