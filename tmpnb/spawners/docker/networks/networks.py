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
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any

import docker
from docker.errors import APIError, NotFound

from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.networks.bridges import TAKEN, make_network
from tmpnb.spawners.docker.networks.guard import Guard
from tmpnb.spawners.docker.networks.shared import SharedNetworks
from tmpnb.spawners.docker.networks.subnets import PREFIX, TRIES, subnets_of
from tmpnb.spawners.docker.networks.whereabouts import DOUBT, Company, Doors, doors_of
from tmpnb.spawners.docker_api.threads import explain
from tmpnb.system.net.networks import Address, address

log = logging.getLogger(__name__)

JOINED = ("already exists", "already connected")  # a container there, in the same words
Maker = Callable[[docker.APIClient, str, IPv4Network, Mapping[str, str]], None]


class Networks:
    """One network for all servers, or none that is named."""

    beside = ""  # a network that servers are on besides their place

    def __init__(
        self,
        client: docker.APIClient,
        name: str,
        guard: Guard | None = None,
        shared: SharedNetworks | None = None,
        *,
        published: bool = False,
    ) -> None:
        self._name, self._guard, self._shared = name, guard, shared
        self._published = published  # so proxies have no reason to be on it
        self._client = client
        self._doors: dict[str, Doors] = {}  # of others that are no servers, by container

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
        if self._shared:
            self._shared.restore()
        if self._guard:
            self._guard.require()
        return self._name

    def address_for(self, server_id: str) -> str | None:
        """Return the address that a placed server has there; None for any."""
        del server_id
        return None

    def free(self, server_id: str) -> None:
        """Remove what was made for a server that is gone. Idempotent."""

    def tend(self, server_ids: Iterable[str]) -> None:
        """Keep the networks of these servers as they should be, and no others. Never fails."""
        del server_ids
        if self._guard:
            self._guard.look()

    def company(self, servers: Collection[str]) -> Company:
        """Return who is on the network besides servers.

        Args:
            servers: The ids of their containers.
        """
        if self._published or not self._name:
            return Company()
        try:
            about = self._client.inspect_network(self._name).get("Containers") or {}
        except NotFound:
            return Company()
        others = {i: told for i, told in about.items() if i not in servers}
        doors = {i: self._doors.get(i) or self._doors_of(i) for i in others}
        self._doors = known = {i: found for i, found in doors.items() if found is not None}
        told = (others[i].get(name) for i in known for name in ("IPv4Address", "IPv6Address"))
        found = (address(str(text or "").partition("/")[0]) for text in told)
        return Company(
            frozenset(one for one in found if one is not None),
            frozenset[Address]().union(*(doors.gateways for doors in known.values())),
            frozenset[Address]().union(*(doors.perhaps for doors in known.values())),
        )

    def _doors_of(self, container: str) -> Doors | None:
        """Return those of another's container, for what it publishes stays as it is.

        None: it does not run yet or any more, or is a server that was not listed.
        """
        found = self._client.containers(filters={"id": container})
        if not found or listing.MANAGED in (found[0].get("Labels") or {}):
            return None
        doors = doors_of(found[0])
        if doors.gateways:
            name, shown = listing.names_of(found[0])[:1], ", ".join(map(str, doors.gateways))
            log.warning(DOUBT, *name, shown)
        return doors

    def close(self) -> None:
        """Remove what only watched the networks, and those of all servers that are empty."""
        if self._guard:
            self._guard.close()
        if self._shared:
            self._shared.remove()


class OwnNetworks(Networks):
    """A network for each server, on which are also all who are on the network `meeting`.

    Without such a network there is nobody else on it, and the machine reaches the server.
    """

    def __init__(
        self,
        client: docker.APIClient,
        pool: str,
        meeting: str,
        subnets: IPv4Network,
        labels: Mapping[str, str],
        make: Maker = make_network,
        guard: Guard | None = None,
        beside: str = "",
        shared: SharedNetworks | None = None,
    ) -> None:
        super().__init__(client, meeting, guard, shared)
        self._pool, self._meeting = pool, meeting
        self._make_network, self.beside = make, beside
        self._subnets, self._labels = subnets, labels
        self._next = subnets.subnets(new_prefix=max(PREFIX, subnets.prefixlen))
        self._lock = threading.Lock()  # over `_next` and `_placing`
        self._placing: set[str] = set()  # servers that are being made
        self._subnet_of: dict[str, IPv4Network] = {}  # of servers placed where that counts
        self._seen: frozenset[str] | None = None  # who was on the meeting network last
        # The same, servers included, and without them.
        self._met: tuple[frozenset[str], frozenset[str]] = frozenset(), frozenset()

    def company(self, servers: Collection[str]) -> Company:
        """Return nobody: these servers do not reach the machine."""
        del servers
        return Company()

    def check(self) -> None:
        """See that somebody can reach the servers.

        Raises:
            ConfigError: Nobody could.
        """
        if self._meeting and not self._members():
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

    def address_for(self, server_id: str) -> str | None:
        """Return the last address of its network, by which the firewall tells it from proxies."""
        subnet = self._subnet_of.get(server_id)
        return None if subnet is None else str(subnet[-2])

    def free(self, server_id: str) -> None:
        """See `Networks`."""
        self._remove(self._name_of(server_id))
        with self._lock:
            self._placing.discard(server_id)
            self._subnet_of.pop(server_id, None)

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
        except Exception as error:  # noqa: BLE001 - must not cost the listing; tried again at the next
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
        """Return who is on the meeting network, but for servers of when all were on it."""
        if not self._meeting:
            return frozenset()
        try:
            about = self._client.inspect_network(self._meeting)
        except NotFound as error:
            raise SpawnerError(f"the network {self._meeting} is gone") from error
        present = frozenset(about.get("Containers") or ())
        met, members = self._met
        if present != met:
            wanted = {"label": f"{listing.MANAGED}=true"}
            servers = self._client.containers(all=True, filters=wanted)
            members = present - {entry["Id"] for entry in servers}
            self._met = present, members
        return members

    def _on(self, network: str) -> frozenset[str]:
        """Return who is on a network, or will be when it runs again."""
        found = self._client.containers(all=True, filters={"network": network})
        return frozenset(entry["Id"] for entry in found)

    def _make(self, name: str, server_id: str) -> None:
        own = {listing.MANAGED: "true", listing.POOL: self._pool, listing.SERVER: server_id}
        for subnet in self._free_subnets():
            try:
                self._make_network(self._client, name, subnet, {**self._labels, **own})
            except APIError as error:
                if not any(words in str(error) for words in TAKEN):
                    raise
            else:
                if self._make_network is make_network:
                    self._subnet_of[server_id] = subnet
                return
        raise SpawnerError(f"no free network in --own-subnets={self._subnets}")

    def _free_subnets(self) -> Iterable[IPv4Network]:
        """Yield subnets, round and round; few enough that it ends."""
        taken = [net for network in self._client.networks() for net in subnets_of(network)]
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
            if not any(words in str(error) for words in JOINED):
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


class MixedNetworks(OwnNetworks):
    """The network `meeting` for all new servers; those that have one of their own keep it.

    They were made by an orchestrator that gave each its own.
    """

    def place(self, server_id: str) -> str:
        """See `Networks`."""
        return Networks.place(self, server_id)

    def company(self, servers: Collection[str]) -> Company:
        """See `Networks`."""
        return Networks.company(self, servers)
