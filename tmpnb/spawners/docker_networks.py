"""Where servers are put in the engine, so that they reach what they may and nobody else.

Without egress there are two ways. An orchestrator and a proxy that run on the engine's own
machine reach servers on one internal network whose members cannot reach each other. Those
that run in containers would be such members, so there each server has a network of its own,
with them and with nobody else on it. With the internet alone it is the same, but the one
network leads out, watched by a guard; those with networks of their own are on it as well.
All of it blocks: call it through the door.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, ip_network
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound

from tmpnb import firewall_rules
from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners import docker_listing as listing
from tmpnb.spawners.docker_door import FAULTS, explain
from tmpnb.spawners.docker_guard import Guard
from tmpnb.spawners.docker_options import Options

log = logging.getLogger(__name__)

ICC = "com.docker.network.bridge.enable_icc"  # traffic between containers
BRIDGE = "com.docker.network.bridge.name"
NO_GATEWAY = "com.docker.network.bridge.inhibit_ipv4"  # the machine has no address there
PREFIX = 28  # bits of a server's own network: 13 containers
TRIES = 64  # subnets that may turn out to be taken

Facts = Mapping[str, Any]  # what the engine says, as it says it


def prepare(client: docker.APIClient, pool: str, options: Options) -> Networks:
    """Return where the servers of a pool are put, made if need be.

    Raises:
        ConfigError: They cannot be put there; the message says what to do.
    """
    name, labels, way_out = options.place, options.labels, options.way_out
    if name and name != way_out:
        ensure(client, name, labels, closed=options.egress == "none" and not options.apart)
    guard = None
    if way_out:
        bridge = firewall_rules.bridge(firewall_rules.OUT, way_out)
        ensure(client, way_out, labels, closed=False, bridge=bridge)
        guard = Guard(client, pool, way_out, options)
    if not options.apart:
        return Networks(name, guard)
    own = OwnNetworks(client, pool, name, options.own_subnets, labels, guard, way_out)
    own.check()
    return own


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
        if error.status_code != requests.codes.conflict:  # somebody was quicker
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


class Networks:
    """One network for all servers, or none that is named."""

    beside = ""  # a network that servers are on besides their place

    def __init__(self, name: str, guard: Guard | None = None) -> None:
        self._name, self._guard = name, guard

    @property
    def fault(self) -> str:
        """Why no server may be started or given out now, as last seen; "" if it may."""
        return self._guard.fault if self._guard else ""

    def place(self, server_id: str) -> str:
        """Return the network a new server belongs on; "" for the engine's own.

        Raises:
            SpawnerError: No server may be started now.
        """
        del server_id
        if self._guard:
            self._guard.require()
        return self._name

    def free(self, server_id: str) -> None:
        """Remove what was made for a server that is gone. Idempotent."""

    def tend(self, server_ids: Iterable[str]) -> None:
        """Keep the networks of these servers as they should be, and no others. Never fails."""
        del server_ids
        if self._guard:
            self._guard.look()

    def close(self) -> None:
        """Remove what only watched the networks."""
        if self._guard:
            self._guard.close()


class OwnNetworks(Networks):
    """A network for each server, on which are also all who are on the network `meeting`."""

    def __init__(
        self,
        client: docker.APIClient,
        pool: str,
        meeting: str,
        subnets: IPv4Network,
        labels: Mapping[str, str],
        guard: Guard | None = None,
        beside: str = "",
    ) -> None:
        super().__init__(meeting, guard)
        self._client, self._pool, self._meeting = client, pool, meeting
        self.beside = beside
        self._subnets, self._labels = subnets, labels
        self._next = subnets.subnets(new_prefix=max(PREFIX, subnets.prefixlen))
        self._lock = threading.Lock()  # over `_next` and `_placing`
        self._placing: set[str] = set()  # servers that are being made
        self._seen: frozenset[str] = frozenset()  # who was on the meeting network last

    def check(self) -> None:
        """See that somebody can reach the servers.

        Raises:
            ConfigError: Nobody could.
        """
        if not self._members():
            raise ConfigError(
                f"--own-networks: no container is on the network {self._meeting}; proxy and"
                " orchestrator must be. Where they are no containers, leave it out"
            )

    def place(self, server_id: str) -> str:
        """See `Networks`.

        Raises:
            SpawnerError: There is no room for another network, or no server may be started.
        """
        super().place(server_id)
        name = self._name_of(server_id)
        with self._lock:
            self._placing.add(server_id)
        self._remove(name)  # left over
        self._make(name, server_id)
        for member in self._members():
            self._connect(member, name)
        return name

    def free(self, server_id: str) -> None:
        """See `Networks`."""
        self._remove(self._name_of(server_id))
        with self._lock:
            self._placing.discard(server_id)

    def tend(self, server_ids: Iterable[str]) -> None:
        """Bring those who came anew to the meeting network to all servers. Never fails.

        A network without a server is removed; its orchestrator was killed.
        """
        listed = set(server_ids)
        super().tend(listed)
        with self._lock:
            known = listed | self._placing
            self._placing -= listed
        try:
            members = self._members()
            if members != self._seen:
                self._bring(members, known)
                self._seen = members
        except (*FAULTS, SpawnerError) as error:  # tried again at the next look
            log.warning("networks of servers cannot be kept: %s", explain(error))

    def _bring(self, members: frozenset[str], server_ids: set[str]) -> None:
        for network in self._ours():
            name = network["Name"]
            if network["Labels"][listing.SERVER] not in server_ids:
                self._remove(name)
                continue
            for member in members - self._on(name):
                self._connect(member, name)

    def _name_of(self, server_id: str) -> str:
        return re.sub(r"[^a-zA-Z0-9_.-]", "-", f"tmpnb-{self._pool}-{server_id}")

    def _ours(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.networks(filters=listing.selection(self._pool))
        return found

    def _members(self) -> frozenset[str]:
        try:
            about = self._client.inspect_network(self._meeting)
        except NotFound as error:
            raise SpawnerError(f"the network {self._meeting} is gone") from error
        return frozenset(about.get("Containers") or ())

    def _on(self, network: str) -> frozenset[str]:
        """Return who is on a network, or will be when it runs again."""
        found = self._client.containers(all=True, filters={"network": network})
        return frozenset(entry["Id"] for entry in found)

    def _make(self, name: str, server_id: str) -> None:
        own = {listing.MANAGED: "true", listing.POOL: self._pool, listing.SERVER: server_id}
        for subnet in self._free_subnets():
            pool = docker.types.IPAMPool(subnet=str(subnet))
            try:
                self._client.create_network(
                    name,
                    driver="bridge",
                    internal=True,
                    options={
                        NO_GATEWAY: "true",
                        BRIDGE: firewall_rules.bridge(firewall_rules.OWN, name),
                    },
                    ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                    labels={**self._labels, **own},
                )
            except APIError as error:
                if "overlaps" not in str(error):
                    raise
            else:
                return
        raise SpawnerError(f"no free network in --own-subnets={self._subnets}")

    def _free_subnets(self) -> Iterable[IPv4Network]:
        """Yield subnets, round and round; few enough that it ends."""
        taken = [net for network in self._client.networks() for net in _subnets_of(network)]
        size = max(PREFIX, self._subnets.prefixlen)
        count = 1 << (size - self._subnets.prefixlen)
        tried = 0
        for _ in range(count):
            with self._lock:
                subnet = next(self._next, None)
                if subnet is None:
                    self._next = self._subnets.subnets(new_prefix=size)
                    subnet = next(self._next)
            if any(subnet.overlaps(other) for other in taken):
                continue
            yield subnet
            tried += 1
            if tried == TRIES:
                return

    def _connect(self, container: str, network: str) -> None:
        try:
            self._client.connect_container_to_network(container, network)
        except NotFound:  # it has just left
            log.debug("network join network=%s container=%s: gone", network, container[:12])
        except APIError as error:
            if "already exists" not in str(error):
                raise

    def _remove(self, name: str) -> None:
        """Remove a network with all who are on it, also those that do not run.

        A container that begins to run and has a network that is gone would not begin.
        """
        try:
            self._client.inspect_network(name)
        except NotFound:
            return
        for container in self._on(name):
            with suppress(APIError):
                self._client.disconnect_container_from_network(container, name, force=True)
        with suppress(NotFound):
            self._client.remove_network(name)


def _subnets_of(network: Facts) -> list[IPv4Network]:
    """Return the IPv4 subnets of a network. Pure."""
    found = []
    for config in (network.get("IPAM") or {}).get("Config") or ():
        with suppress(ValueError):
            subnet = ip_network(config.get("Subnet") or "", strict=False)
            if isinstance(subnet, IPv4Network):
                found.append(subnet)
    return found
