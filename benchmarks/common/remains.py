"""The engine as a benchmark sees it: what carries its label, and what is left at the end."""

from __future__ import annotations

import fcntl
import secrets
import socket
import struct
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, DockerException, NotFound

from benchmarks.common.command import BenchmarkError
from benchmarks.common.gauges import PROC
from tmpnb.settings.checks import is_loopback
from tmpnb.spawners.docker.networks.bridges import BRIDGE
from tmpnb.system.units import unix_time

LABEL = "tmpnb.benchmark"
IMAGE = "tmpnb-test/stub"
REMOVED_AT_ONCE = 8  # containers
OWN_NETWORK, OWN_BRIDGE = "bridge", "docker0"  # an engine's, where it is told nothing else
SIOCGIFADDR = 0x8915  # asks Linux for the IPv4 address of an interface


@dataclass(slots=True)
class Remains:
    """How many of each were left behind."""

    containers: int = 0
    routes: int = 0
    networks: int = 0
    volumes: int = 0
    processes: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.containers + self.routes + self.networks + self.volumes + self.processes


@dataclass(slots=True)
class Engine:
    """A Docker engine, and what one run of a benchmark made in it."""

    client: docker.APIClient
    run: str = field(default_factory=lambda: secrets.token_hex(6))
    # How command lines of processes name the run's containers: words that occur together.
    traces: set[frozenset[str]] = field(default_factory=set)

    @classmethod
    def reach(cls, image: str) -> Engine:
        """Return the engine that the environment names.

        Raises:
            BenchmarkError: None answers, or it lacks the image.
        """
        try:
            client = docker.APIClient(version="auto", timeout=120, **docker.utils.kwargs_from_env())
            client.inspect_image(image)
        except NotFound:
            raise BenchmarkError(
                f"there is no image {image}; build it first: make images"
            ) from None
        except DockerException as error:
            raise BenchmarkError(f"no Docker engine answers: {error}") from None
        return cls(client)

    @property
    def pool(self) -> str:
        """The name of the run's pool."""
        return f"benchmark-{self.run}"

    @property
    def label(self) -> str:
        """What everything made in this run carries, as `name=value`."""
        return f"{LABEL}={self.run}"

    def gateway(self) -> str:
        """Return the address at which containers find this machine.

        It is that of the bridge they hang on: an engine tells the gateway of its own network
        only once it has been restarted.

        Raises:
            BenchmarkError: They do not find it; in words, with the mend.
        """
        host = urlsplit(self.client.base_url).hostname or ""
        if not is_loopback(host):
            raise BenchmarkError(
                f"the engine is not on this machine ({host}), and its containers do not find this"
                " one; measure on the engine's own machine"
            )
        bridge = self._bridge()
        address = ipv4_of(bridge)
        if address is None:
            raise BenchmarkError(
                f"there is no interface {bridge} with an IPv4 address here, by which containers"
                " would find this machine; measure on the engine's own machine, in no container"
            )
        return address

    def _bridge(self) -> str:
        """Return the interface of the engine's own network."""
        try:
            options = self.client.inspect_network(OWN_NETWORK).get("Options")
        except NotFound:
            raise BenchmarkError(
                f"the engine has no network {OWN_NETWORK}; start it without --bridge=none"
            ) from None
        named = options.get(BRIDGE) if isinstance(options, Mapping) else None
        return str(named or OWN_BRIDGE)

    def containers(self) -> list[dict[str, Any]]:
        """Return the run's containers, as the engine lists them."""
        found: list[dict[str, Any]] = self.client.containers(
            all=True, filters={"label": self.label}
        )
        for entry in found:
            self.traces.add(frozenset({str(entry["Id"])}))
            self.traces |= _port_proxies(entry)
        return found

    def first_created(self) -> float:
        """Return when the first of the run's containers was made, in Unix time."""
        made = [self.client.inspect_container(c["Id"])["Created"] for c in self.containers()]
        return min(moment for text in made if (moment := unix_time(text)) is not None)

    def remains(self) -> Remains:
        """Count what carries the run's label, and the processes of its containers."""
        wanted = {"label": self.label}
        return Remains(
            containers=len(self.containers()),
            networks=len(self.client.networks(filters=wanted)),
            volumes=len(self.client.volumes(filters=wanted)["Volumes"] or []),
            processes=len(self.processes()),
        )

    def remove_all(self) -> None:
        """Remove whatever is left."""
        with ThreadPoolExecutor(REMOVED_AT_ONCE) as threads:
            list(threads.map(self._remove, self.containers()))
        for volume in self.client.volumes(filters={"label": self.label})["Volumes"] or []:
            with suppress(APIError):  # gone, or on its way
                self.client.remove_volume(volume["Name"])
        for network in self.client.networks(filters={"label": self.label}):
            with suppress(APIError):  # gone, or somebody else is on it
                self.client.remove_network(network["Id"])
        self.client.close()

    def _remove(self, entry: dict[str, Any]) -> None:
        with suppress(APIError):  # gone, or on its way
            self.client.remove_container(entry["Id"], v=True, force=True)

    def processes(self) -> list[int]:
        """Return the pids of the shims and port proxies of the run's containers."""
        found, known = [], set().union(*self.traces)
        for entry in PROC.iterdir():
            if entry.name.isdecimal():
                try:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                except OSError:
                    continue  # gone
                named = known.intersection(words)
                if named and any(trace <= named for trace in self.traces):
                    found.append(int(entry.name))
        return found


def ipv4_of(interface: str) -> str | None:
    """Return the address of an interface of this machine; None if it has none in IPv4."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, SIOCGIFADDR, struct.pack("40s", interface.encode()[:15]))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


def _port_proxies(entry: dict[str, Any]) -> set[frozenset[str]]:
    """Return what the command lines of a container's port proxies say."""
    networks = entry["NetworkSettings"]["Networks"].values()
    return {
        frozenset({str(port["PublicPort"]), str(network["IPAddress"])})
        for port in entry.get("Ports") or []
        for network in networks
        if port.get("PublicPort") and network.get("IPAddress")
    }
