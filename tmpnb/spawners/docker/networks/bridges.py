"""Make networks in Docker, and see whether one that is there closes what it shall. Blocks."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, cast

import docker
import requests
from docker.errors import APIError, NotFound

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.networks.subnets import free, is_large, prefix_for, room_in, subnets_of
from tmpnb.spawners.docker_api.kind import Facts
from tmpnb.spawners.docker_api.threads import explain
from tmpnb.spawners.egress import rules
from tmpnb.system.net.gateway import routed

log = logging.getLogger(__name__)

ICC = "com.docker.network.bridge.enable_icc"  # traffic between containers
BRIDGE = "com.docker.network.bridge.name"
TAKEN = ("overlaps", "is already used on")  # a subnet, in the words of Docker and of Podman
# Another service makes the same network: in the words of both, and of Docker before it is listed.
AT_ONCE = ("already exists", "networks have same bridge name")
PATIENCE = 5.0  # seconds until what another makes is there
PAUSE = 0.1  # seconds between two looks at it
ANEW = "while no server runs, docker network rm {}, and start tmpnb again, which makes it anew"
NO_GATEWAY = "com.docker.network.bridge.inhibit_ipv4"  # the machine has no address there


@dataclass(frozen=True, slots=True)
class Room:
    """The addresses of a network that is made.

    Attributes:
        within: The range that they are taken from.
        servers: That will be on it at a time.
        bounded: Whether all who are on it are held to the firewall's bounds, as servers are.
        pool: Of these servers; "" counts nobody who is on it already.
        named: Whether --docker-network may name another one.
    """

    within: IPv4Network
    servers: int
    bounded: bool = True
    pool: str = ""
    named: bool = True

    def subnets(self, client: docker.APIClient) -> Iterable[IPv4Network]:
        """Yield subnets of the right size that are free, as far as engine and machine tell."""
        taken = [net for network in client.networks() for net in subnets_of(network)]
        # A route of far more than that, as a VPN for all traffic sets, tells of no network there.
        taken += [route for route in routed() if not self.within.subnet_of(route)]
        return free(self.within, prefix_for(self.servers), taken)

    def check(self, client: docker.APIClient, name: str, network: Facts) -> None:
        """See whether a network that is there has room; say once what is wrong with it.

        Raises:
            ConfigError: There is none.
        """
        strangers, others = self._company(client, network)
        room = room_in(network, strangers, others)
        if room is not None and room < self.servers:
            counted = f"{strangers + others} containers of others, there or to come"
            besides = f" besides {counted}" if strangers else ""
            other = f"name another with --docker-network={name}-2, or " if self.named else ""
            raise ConfigError(
                f"--pool-size={self.servers}: the network {name} has addresses for {room}"
                f" servers{besides}; {other}{ANEW.format(name)}"
            )
        if self.servers and is_large(network, self.servers):
            log.warning(
                "on the network %s one server can fill the machine's table of neighbours, as it has"
                " far more addresses than servers; %s",
                name,
                ANEW.format(name),
            )

    def _company(self, client: docker.APIClient, network: Facts) -> tuple[int, int]:
        """Return how many servers of other pools a network has to hold, and how many others.

        A pool that is on it may yet have as many as its capacity. Doctor's pool, which no operator
        can name, has a server or two in the place of those of the operator's: to it these are no
        strangers.
        """
        present = set(network.get("Containers") or ())
        if not (present and self.pool) or self.pool.startswith("_"):
            return 0, 0
        servers = client.containers(all=True, filters={"label": f"{listing.MANAGED}=true"})
        there = [entry for entry in servers if entry["Id"] in present]
        pools = listing.most_of_each_pool(there)
        tried = sum(count for pool, count in pools.items() if pool.startswith("_"))
        strangers = sum(count for pool, count in pools.items() if pool != self.pool)
        return strangers - tried, len(present) - len(there) + tried


def ensure(
    client: docker.APIClient,
    name: str,
    labels: Mapping[str, str],
    *,
    closed: bool,
    bridge: str = "",
    room: Room | None = None,
) -> bool:
    """Make the network `name` unless it is there; return whether it was made just now.

    Args:
        client: Of the engine.
        name: Of the network.
        labels: For one that is made.
        closed: Whether nothing may lead out of it, nor from one container to another.
        bridge: The interface of a network that leads out by the firewall's rules, and not from
            one container to another; "" for another network.
        room: For whom it has addresses; None: as the engine likes, its interface as well.

    Raises:
        ConfigError: The engine will not have such a network, or has one that is not closed, or is
            too small.
    """
    try:
        found = client.inspect_network(name)
    except NotFound:
        log.info("network make name=%s", name)
        made_by_another = _make(client, name, labels, closed=closed, bridge=bridge, room=room)
        if made_by_another is None:
            return True
        found = made_by_another
    _check(client, name, found, closed=closed, bridge=bridge, room=room)
    return False


def _check(
    client: docker.APIClient,
    name: str,
    found: Facts,
    *,
    closed: bool,
    bridge: str,
    room: Room | None,
) -> None:
    """Raise ConfigError unless a network that is there will do."""
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
    if room is not None:
        room.check(client, name, found)


def _make(
    client: docker.APIClient,
    name: str,
    labels: Mapping[str, str],
    *,
    closed: bool,
    bridge: str,
    room: Room | None,
) -> Facts | None:
    """Make a network; return None, or what another service has made at the same time."""
    settings: dict[str, Any] = {"driver": "bridge", "labels": dict(labels), "check_duplicate": True}
    options = {ICC: "false"} if closed or bridge else {}
    if bridge or (room is not None and room.bounded):
        kind = rules.CLOSED if closed else rules.OPEN
        options[BRIDGE] = bridge or rules.bridge(kind, name)
    settings |= {"options": options} if options else {}
    settings |= {"internal": True} if closed else {}
    why = f"no free network in --own-subnets={room.within}" if room else ""
    for subnet in room.subnets(client) if room else (None,):
        try:
            client.create_network(name, ipam=_ipam(subnet), **settings)
        except APIError as error:
            why = explain(error)
            if error.status_code == requests.codes.conflict or _says(error, AT_ONCE):
                if found := _made_by_another(client, name):
                    return found
                break
            if subnet is None or not _says(error, TAKEN):
                break
        else:
            return None
    raise ConfigError(f"--docker-network={name}: there is none, and it cannot be made: {why}")


def _says(error: APIError, words: Iterable[str]) -> bool:
    return any(word in str(error) for word in words)


def _made_by_another(client: docker.APIClient, name: str) -> Facts | None:
    """Return a network that another service makes just now; None: it does not come to be."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(NotFound):
            return cast(Facts, client.inspect_network(name))
        if time.monotonic() >= deadline:
            return None
        time.sleep(PAUSE)


def _ipam(subnet: IPv4Network | None) -> docker.types.IPAMConfig | None:
    if subnet is None:
        return None
    return docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=str(subnet))])


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
    client.create_network(
        name,
        driver="bridge",
        internal=True,
        options={NO_GATEWAY: "true", BRIDGE: rules.bridge(rules.OWN, name)},
        ipam=_ipam(subnet),
        labels=dict(labels),
    )
