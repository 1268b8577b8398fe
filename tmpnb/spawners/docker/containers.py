"""What the spawner asks of the engine about containers: find, make, remove, rename.

All of it blocks: call it through the door.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound

from tmpnb.core.observation import Instance
from tmpnb.errors import ConfigError, NoInstanceError, SpawnerError
from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.host_config import host_config
from tmpnb.spawners.docker.image.copies import Copies
from tmpnb.spawners.docker.image.look import People
from tmpnb.spawners.docker.image.user import NOBODY, Person
from tmpnb.spawners.docker.kit_volume import KitVolume
from tmpnb.spawners.docker.networks.networks import Networks
from tmpnb.spawners.docker.networks.whereabouts import Whereabouts
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker.ports import own_loopback
from tmpnb.spawners.docker_api.threads import FAULTS, explain
from tmpnb.system.logs.redaction import redact

log = logging.getLogger(__name__)

PAUSE = 0.1  # seconds between two looks at what the engine is busy with
LOOKS = 100  # before giving up on it
LOG_BYTES = 16_384  # read back at most
LAST_LINES = 20  # kept of a server that ended during its start


@dataclass(frozen=True, slots=True)
class Order:
    """One server to make."""

    server_id: str
    command: Sequence[str] = field(repr=False)
    token: str = field(repr=False)
    port: int  # it listens on
    image: str


class EndedError(SpawnerError):
    """A server ended during its start; its container is gone, and this is what is left.

    Attributes:
        printed: The last lines it printed.
    """

    def __init__(self, message: str, printed: str) -> None:
        super().__init__(message)
        self.printed = printed


class Containers:
    """The containers of one pool."""

    def __init__(
        self,
        client: docker.APIClient,
        pool: str,
        options: Options,
        kit: KitVolume,
        people: People,
        networks: Networks,
        copies: Copies,
    ) -> None:
        self._client = client
        self._pool = pool
        self._options = options
        self._kit = kit
        self._people = people
        self.networks = networks
        self._copies = copies
        # By server id, as far as known: to find a container by its labels, the engine looks
        # at every one it has.
        self._ids: dict[str, str] = {}
        self.whereabouts = Whereabouts()

    @property
    def barred(self) -> str:
        """Why no server may be started or given to a visitor now, in words; "" if it may."""
        return self.networks.fault

    def check(self) -> None:
        """See that the operator's own settings of a container can be told to the engine.

        Raises:
            ConfigError: They cannot.
        """
        try:
            host_config(self._client, self._options, self._options.container_port, NOBODY)
        except (*FAULTS, TypeError, ValueError, LookupError) as error:
            raise ConfigError(f"extra_host_config: {explain(error)}") from error

    def put_away(self) -> None:
        """Remove what is not needed without an orchestrator."""
        self.networks.close()
        self._kit.remove()
        self._copies.remove()

    def all(self) -> list[Instance]:
        """Return every container of the pool, in one request."""
        turn = self.whereabouts.begin()
        found = self._find()
        instances = [listing.instance_of(entry) for entry in found]
        self._ids = {
            instance.server_id: str(entry["Id"])
            for instance, entry in zip(instances, found, strict=True)
            if entry.get("Id")
        }
        ids = (instance.server_id for instance in instances)
        self.whereabouts.listed(turn, zip(ids, found, strict=True))
        self.whereabouts.company = self.networks.company({str(entry.get("Id")) for entry in found})
        self.networks.tend(instance.server_id for instance in instances)
        return instances

    def start(self, order: Order, given_up: threading.Event) -> str:
        """Make a server; return its address. Whatever fails, nothing is left behind.

        Raises:
            EndedError: The new one ended at once.
            SpawnerError: A visitor has one of this id, or nobody waits for it any more.
        """
        for found in self._find(order.server_id):
            if listing.claimed_at(found) is not None:
                raise SpawnerError(f"server {order.server_id} belongs to a visitor already")
            self._remove(found["Id"], given_up)  # left over from a start nobody waited for
        address = None
        try:
            container = self._create(order)
            if beside := self.networks.beside:
                self._client.connect_container_to_network(container, beside)
            if not given_up.is_set():
                self._client.start(container)
                self._ids[order.server_id] = container
                address = self._address(container, order, given_up)
        finally:
            # By label, not by what `create` returned: it may have timed out and worked.
            if address is None or given_up.is_set():
                self._discard(order.server_id, given_up)
        if address is None:
            raise SpawnerError(f"the start of server {order.server_id} was given up")
        return address

    def remove(self, server_id: str, given_up: threading.Event) -> None:
        """Remove a server with its anonymous volumes; it is gone when this returns."""
        known = self._ids.pop(server_id, None)
        if known is None or not self._remove(known, given_up):
            for found in self._find(server_id):
                self._remove(found["Id"], given_up)
        self.whereabouts.forget(server_id)
        self.networks.free(server_id)

    def claim(self, server_id: str, claimed_at: float) -> None:
        """Write the time of the claim into the name.

        Raises:
            SpawnerError: There is no such server.
        """
        name = listing.container_name(self._pool, server_id, claimed_at)
        known = self._ids.get(server_id)  # by a name alone it could be somebody else's
        if known is not None:
            with suppress(APIError):  # renamed already, or gone
                self._client.rename(known, name)
                return
        found = self._find(server_id)
        if not found:
            raise NoInstanceError(f"there is no server {server_id} to claim")
        if name not in listing.names_of(found[0]):
            self._client.rename(found[0]["Id"], name)

    def logs(self, server_id: str, lines: int) -> str:
        """Return the last lines a server printed; "" where there is nothing to read."""
        found = self._find(server_id)
        return self._said(found[0]["Id"], lines) if found else ""

    def stats(self, server_id: str) -> object:
        """Return what the engine says a server has used; None if there is no such server."""
        known = self._ids.get(server_id)  # as of the latest listing
        if known is None:
            return None
        try:
            told: object = self._client.stats(known, stream=False, one_shot=True)
        except NotFound:
            return None
        return told

    def _find(self, server_id: str | None = None) -> list[dict[str, Any]]:
        wanted = listing.selection(self._pool, server_id)
        found: list[dict[str, Any]] = self._client.containers(all=True, filters=wanted)
        if not isinstance(found, list):
            raise SpawnerError("Docker gave no list of containers")
        return found

    def _create(self, order: Order) -> str:
        options = self._options
        listens_on = options.container_ip if options.host_network else None
        about = (order.server_id, order.port, listens_on, options.capacity)
        own = listing.labels(self._pool, *about)
        person = self._person(order.image)
        network = self.networks.place(order.server_id)
        kit = self._kit.supply(order.image, options.environment)
        volumes, home = self._copies.supply(order.image, person, self._options)
        mounts = (*kit.mounts, *volumes.mounts, *home.mounts)
        environment = {**options.environment, **kit.environment, "JUPYTER_TOKEN": order.token}
        made = self._client.create_container(
            image=order.image,
            command=list(order.command),
            entrypoint=home.entrypoint,
            name=listing.container_name(self._pool, order.server_id),
            labels={**options.labels, **own},
            environment=environment,
            user=options.user or None,
            ports=[order.port] if options.published else None,
            host_config=host_config(
                self._client,
                options,
                order.port,
                person,
                mounts,
                network,
                self._published_at(order),
            ),
            networking_config=self._networking(network, order.server_id),
        )
        for warning in made.get("Warnings") or []:
            log.debug("container warning id=%s text=%s", order.server_id, warning)
        return str(made["Id"])

    def _person(self, image: str) -> Person:
        try:
            return self._people.of(image)
        except ConfigError as error:  # the tag means another image by now
            raise SpawnerError(str(error)) from error

    def _published_at(self, order: Order) -> str:
        own = self._options.own_addresses
        return own_loopback(order.server_id) if own else self._options.container_ip

    def _networking(self, network: str, server_id: str) -> dict[str, Any] | None:
        if not network:
            return None
        # Named at its creation, the network is the only one the container is ever on.
        address = self.networks.address_for(server_id)
        endpoint = self._client.create_endpoint_config(ipv4_address=address)
        config: dict[str, Any] = self._client.create_networking_config({network: endpoint})
        return config

    def _address(self, container: str, order: Order, given_up: threading.Event) -> str | None:
        for _ in range(LOOKS):
            found = self._client.containers(all=True, filters={"id": container})
            if not (found and listing.is_serving(found[0])):
                raise self._ended(container, order)
            address = listing.address_of(found[0])
            self.whereabouts.note(order.server_id, found[0])  # before anybody can have it
            if address is not None or given_up.wait(PAUSE):
                return address
        raise SpawnerError(f"server {order.server_id} runs, but Docker gave it no address")

    def _ended(self, container: str, order: Order) -> SpawnerError:
        try:
            state = self._client.inspect_container(container)["State"]
        except NotFound:
            return SpawnerError(f"server {order.server_id} was removed during its start")
        return EndedError(
            f"server {order.server_id} is not running right after its start:"
            f" {state.get('Status')}, exit code {state.get('ExitCode')}",
            self._said(container, LAST_LINES).replace(order.token, "[redacted]"),
        )

    def _said(self, container: str, lines: int) -> str:
        try:
            printed: bytes = self._client.logs(container, tail=lines)
        except APIError as error:
            # Gone, or its logging driver keeps nothing to read.
            if error.status_code == requests.codes.not_found or "logging driver" in str(error):
                return ""
            raise
        return redact(printed[-LOG_BYTES:].decode(errors="replace").rstrip("\n"))

    def _remove(self, container: str, given_up: threading.Event) -> bool:
        """Remove a container; return whether there was one."""
        try:
            self._client.remove_container(container, v=True, force=True)
        except NotFound:
            return False
        except APIError as error:
            if error.status_code != requests.codes.conflict:
                raise
            self._wait_until_gone(container, given_up)  # it is being removed already
        return True

    def _wait_until_gone(self, container: str, given_up: threading.Event) -> None:
        for _ in range(LOOKS):
            if not self._client.containers(all=True, filters={"id": container}):
                return
            if given_up.wait(PAUSE):
                break
        raise SpawnerError(f"Docker is still removing container {container[:12]}")

    def _discard(self, server_id: str, given_up: threading.Event) -> None:
        try:
            self.remove(server_id, given_up)
        except Exception as error:  # noqa: BLE001 - what failed before is what is raised
            log.warning("container left behind id=%s: %s", server_id, explain(error))
