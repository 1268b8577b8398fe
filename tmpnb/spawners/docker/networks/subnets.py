"""The addresses of networks that are made: as few as do, and nobody else's. Pure.

A server may ask for the hardware address of each address of its network, and each question takes
a place in the machine's table of neighbours. So a network is as small as its servers need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Network, ip_network

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker_api.kind import Facts

OTHERS = 8  # the machine, a sentry, those that doctor tries, and some that are being removed
EXPECTED = 4  # of these, who may be there before a server is: all but what is being removed
RESERVED = 2  # the network itself, and broadcast
PREFIX = 28  # bits of a server's own network: 13 containers
SMALLEST = 26  # bits: room for a second pool
LARGE = 1024  # addresses with which one server can fill the machine's usual table alone
TRIES = 64  # subnets that may turn out to be taken


def prefix_for(capacity: int) -> int:
    """Return the bits of a subnet for a pool's servers."""
    return min(SMALLEST, 32 - (capacity + OTHERS + RESERVED - 1).bit_length())


def room_in(network: Facts, strangers: int = 0, others: int = 0) -> int | None:
    """Return how many servers a network has addresses for; None if it tells none.

    Args:
        network: As the engine describes it.
        strangers: Servers of other pools that are on it.
        others: Containers that are on it and are no servers.
    """
    sizes = [subnet.num_addresses - RESERVED for subnet in subnets_of(network)]
    if not sizes:
        return None
    return max(0, max(sizes) - OTHERS - strangers - max(0, others - EXPECTED))


def is_large(network: Facts, servers: int) -> bool:
    """Return whether one server can fill the machine's table of neighbours for nothing."""
    most = max(LARGE, 4 * servers)
    return any(subnet.num_addresses >= most for subnet in subnets_of(network))


def subnets_of(network: Facts) -> list[IPv4Network]:
    """Return the IPv4 subnets of a network."""
    found = []
    for config in (network.get("IPAM") or {}).get("Config") or ():
        with suppress(ValueError):
            subnet = ip_network(config.get("Subnet") or "", strict=False)
            if isinstance(subnet, IPv4Network):
                found.append(subnet)
    return found


def free(within: IPv4Network, prefix: int, taken: Iterable[IPv4Network]) -> Iterator[IPv4Network]:
    """Yield subnets that overlap no taken one, from the end: single servers' are at the begin.

    Args:
        within: The range to take them from.
        prefix: Bits of each.
        taken: Of the engine's networks, and where the machine's routes lead.

    Raises:
        ConfigError: The range is too small for one.
    """
    if prefix < within.prefixlen:
        raise ConfigError(
            f"--own-subnets={within}: too small for the network of all servers, a /{prefix}"
        )
    others, size, tried = list(taken), 1 << (32 - prefix), 0
    last = int(within.broadcast_address) + 1 - size
    for start in range(last, int(within.network_address) - 1, -size):
        subnet = IPv4Network((start, prefix))
        if any(subnet.overlaps(other) for other in others):
            continue
        yield subnet
        tried += 1
        if tried == TRIES:
            return
