"""The part of the Docker spawner that tells which addresses are servers'."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

from tmpnb.networks import Address
from tmpnb.spawners import docker_listing as listing
from tmpnb.spawners.docker_door import Lane
from tmpnb.spawners.docker_whereabouts import place_of

if TYPE_CHECKING:
    import docker

    from tmpnb.spawners.docker_containers import Containers

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
        client = self._client
        if client is None:
            return ()
        what = "asking for the addresses of servers"
        return await self._quick.run(what, lambda _: addresses(client), seconds=PATIENCE)


def addresses(client: docker.APIClient) -> frozenset[Address]:
    """Return the addresses of all servers in the engine, whatever pool they are of. Blocks."""
    found = client.containers(all=True, filters={"label": f"{listing.MANAGED}=true"})
    return frozenset[Address]().union(*(place_of(entry).addresses for entry in found))
