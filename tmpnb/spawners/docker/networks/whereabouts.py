"""Which addresses servers have in the engine, so that what they ask is known to be theirs.

A published server is reached at an address of the machine, and asks from its own ones on the
networks it is on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_interface

from tmpnb.spawners.docker_api.kind import Facts
from tmpnb.spawners.egress.interfaces import leads_outside
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Address, Network

DOUBT = (
    "%s publishes a port on addresses that servers reach, so who comes from %s gets no server: it"
    " may be one; publish it on 127.0.0.1 alone (with Compose TMPNB_PORT=127.0.0.1:8000), so that a"
    " front server and visitors on the machine get some"
)

_V4, _V6 = ("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one container is in the engine's networks."""

    addresses: frozenset[Address] = frozenset()
    subnets: frozenset[Network] = frozenset()


def place_of(entry: Facts) -> Place:
    """Return what a listed container says; what cannot be read is left out."""
    told = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    found = [
        (address, network.get(length))
        for network in told.values()
        if isinstance(network, Mapping)
        for name, length in (_V4, _V6)
        if (address := networks.address(str(network.get(name) or ""))) is not None
    ]
    return Place(
        frozenset(address for address, _ in found),
        frozenset(ip_interface(f"{a}/{bits}").network for a, bits in found if _is_length(a, bits)),
    )


@dataclass(frozen=True, slots=True)
class Company:
    """Others on the servers' network, such as a proxy.

    Attributes:
        addresses: Theirs there.
        gateways: Who asks by a port that they publish on the machine comes from there, be it the
            machine or a server: the engine takes the connection, and makes another one.
        perhaps: The gateways of all networks they are on. One of them may have been made anew,
            and publish a port now.
    """

    addresses: frozenset[Address] = frozenset()
    gateways: frozenset[Address] = frozenset()
    perhaps: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Doors:
    """What a container of others has: see `Company`."""

    gateways: frozenset[Address]
    perhaps: frozenset[Address]


def doors_of(entry: Facts) -> Doors:
    """Return what a listed container that runs has."""
    told = ((entry.get("NetworkSettings") or {}).get("Networks") or {}).values()
    named = (network.get(name) for network in told for name in ("Gateway", "IPv6Gateway"))
    found = (networks.address(str(name or "")) for name in named)
    perhaps = frozenset(address for address in found if address is not None)
    return Doors(perhaps if _is_reached(entry) else frozenset(), perhaps)


def _is_reached(entry: Facts) -> bool:
    """Return whether servers reach a port that it publishes: not on loopback addresses alone."""
    published = (p for p in entry.get("Ports") or () if p.get("PublicPort"))
    places = [networks.address(str(port.get("IP") or "0.0.0.0")) for port in published]  # noqa: S104 - read, not bound
    return not all(place is not None and place.is_loopback for place in places)


class Whereabouts:
    """Where the servers of one pool are, as last seen. For any thread."""

    def __init__(self, leads_outside: Callable[[str], bool] = leads_outside) -> None:
        """Begin with nobody.

        Args:
            leads_outside: Returns whether an interface leads to other machines.
        """
        self._leads_outside = leads_outside
        self._lock = threading.Lock()
        self._turn = 0
        self.company = Company()
        self._places: dict[str, tuple[int, Place]] = {}  # by server id, with the turn it was seen
        self._removed: dict[str, tuple[int, Place]] = {}  # the same, until a later listing

    def begin(self) -> int:
        """Return the turn of a listing that begins now."""
        with self._lock:
            self._turn += 1
            return self._turn

    def note(self, server_id: str, entry: Facts) -> None:
        """Keep where a server is that has just started."""
        with self._lock:
            self._turn += 1
            self._places[server_id] = self._turn, place_of(entry)
            self._removed.pop(server_id, None)

    def forget(self, server_id: str) -> None:
        """Forget a server that is removed: the engine may give its addresses to another."""
        with self._lock:
            self._turn += 1
            _, place = self._places.pop(server_id, (0, Place()))
            self._removed[server_id] = self._turn, place

    def listed(self, turn: int, entries: Iterable[tuple[str, Facts]]) -> None:
        """Keep what a listing says, but for servers that were seen, or removed, after it began.

        Args:
            turn: Of `begin`.
            entries: All of them, with the ids of their servers.
        """
        found = {server_id: (turn, place_of(entry)) for server_id, entry in entries}
        with self._lock:
            newer = {i: seen for i, seen in self._places.items() if seen[0] > turn}
            self._removed = {i: seen for i, seen in self._removed.items() if seen[0] > turn}
            kept = {i: seen for i, seen in found.items() if i not in self._removed}
            self._places = kept | newer

    def holds(self, address: Address) -> bool | None:
        """Return whether a server has an address, or may come from it by way of the machine.

        None: none had it when they were seen, and it is on a network of theirs, stands for the
        machine, or was that of one that is removed since. It may be another container's, or a
        server's that was started anew since.
        """
        with self._lock:
            places = [place for _, place in self._places.values()]
            removed = [place for _, place in self._removed.values()]
        company = self.company
        if address in company.gateways or any(address in place.addresses for place in places):
            return True
        if address in company.addresses:
            return False
        if address in company.perhaps:
            return None
        # No listing tells these. A visitor has one where they come by a network card.
        if isinstance(address, IPv6Address) and address.is_link_local:
            return bool(places) and not self._leads_outside(address.scope_id or "")
        near = any(address in subnet for place in places for subnet in place.subnets)
        near = near or any(address in place.addresses for place in removed)
        return None if near else False


def _is_length(address: Address, bits: object) -> bool:
    return isinstance(bits, int) and 0 < bits <= address.max_prefixlen
