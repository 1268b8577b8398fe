"""The part of the Docker spawner that tells which addresses are servers'."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.networks.whereabouts import place_of
from tmpnb.spawners.docker_api.threads import Lane
from tmpnb.system.net.networks import Address

if TYPE_CHECKING:
    import docker

    from tmpnb.spawners.docker.containers import Containers
    from tmpnb.spawners.docker.networks.networks import Networks

PATIENCE = 5.0  # seconds; a visitor waits for it


class Driver(Protocol):
    """What is needed of the spawner."""

    _quick: Lane
    _client: docker.APIClient | None
    _containers: Containers | None


class ServerAddresses:
    """Tells whose an address is, as last seen or by asking the engine."""

    def holds(self: Driver, address: Address) -> bool | None:
        """See `Spawner`."""
        return self._containers.whereabouts.holds(address) if self._containers else False

    async def addresses(self: Driver) -> Collection[Address]:
        """See `Spawner`."""
        client, containers = self._client, self._containers
        if client is None or containers is None:
            return ()
        look = partial(addresses, client, containers.networks)
        what = "asking for the addresses of servers"
        return await self._quick.run(what, lambda _: look(), seconds=PATIENCE)


def addresses(client: docker.APIClient, networks: Networks) -> frozenset[Address]:
    """Return the addresses that servers of any pool come from, the machine's too. Blocks."""
    found = client.containers(all=True, filters={"label": f"{listing.MANAGED}=true"})
    company = networks.company({str(entry.get("Id")) for entry in found})
    return company.gateways.union(*(place_of(entry).addresses for entry in found))
