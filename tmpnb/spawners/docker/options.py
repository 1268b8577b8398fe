"""Read the operator's Docker settings, and refuse what cannot work. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_address
from typing import Any

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.hardening.limits import Limits, Wanted, has_own_kernel
from tmpnb.spawners.docker.labels import INTERNET_NETWORK
from tmpnb.spawners.docker_api.kind import Kind

LOOPBACK = "127.0.0.1"
NOWHERE = LOOPBACK  # of the server itself, where no name server is
OWN_SUBNETS = IPv4Network("198.18.0.0/15")  # for tests of networks, so nobody's real addresses
OPEN_NETWORK = "tmpnb-open"  # for published servers
CLOSED_NETWORK = "tmpnb-closed"  # for servers without egress, unless it is named
SMALLEST_MEMORY = 6 * 1024**2  # bytes; the engine refuses less
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_IMAGE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9_.:/@+\[\]-]*")  # the engine knows better
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])i?b?|b)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the engine's machine, shown to every server."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Options:
    """How every server of a pool is made."""

    image: str
    memory: int = 0  # bytes; 0: no limit
    cpu_shares: int | None = None  # weight against other containers
    cpu_quota: int | None = None  # microseconds in each 100 ms
    user: str = ""  # "": the image's own
    host_network: bool = False
    network: str = ""  # "": the engine's default, with a published port
    mounts: tuple[Mount, ...] = ()
    extra_hosts: tuple[str, ...] = ()  # name:address
    container_ip: str = LOOPBACK
    own_addresses: bool = False  # publish each server at an address of its own
    container_port: int = 8888
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    extra_host_config: Mapping[str, Any] = field(default_factory=dict)
    egress: str = "all"  # what servers reach outside: all, internet, or none
    own_networks: bool = False  # unless egress is all: one for each server
    own_subnets: IPv4Network = OWN_SUBNETS
    capacity: int = 0  # servers of the pool at a time; 0: unknown
    fleeting: bool = False  # whether networks that are made go with the pool
    limits: Limits = field(default_factory=Limits)
    kind: Kind = field(default_factory=Kind)  # of the engine, once it has answered

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            ConfigError: Names the flag and what to do.
        """
        if not self.image:
            raise ConfigError("--image is empty; name the image of the notebook servers")
        if not _IMAGE.fullmatch(self.image):
            raise ConfigError(
                f"--image={self.image}: no image has such a name; write for example"
                " quay.io/jupyter/minimal-notebook:2026-10-05"
            )
        if self.host_network and self.network:
            raise ConfigError(
                f"--host-network and --docker-network={self.network} exclude each other;"
                " leave one out"
            )
        if self.host_network and self.egress != "all":
            raise ConfigError(
                f"--host-network and --egress={self.egress} exclude each other; leave one out"
            )
        if self.own_networks and self.egress != "all" and not self.network:
            raise ConfigError(
                "--own-networks needs --docker-network: the network that proxy and orchestrator"
                " are on"
            )
        if self.apart and self.network == INTERNET_NETWORK:
            raise ConfigError(
                f"--docker-network={INTERNET_NETWORK}: only servers are on it; name the network"
                " that proxy and orchestrator are on"
            )
        if self.network == "host":
            raise ConfigError("--docker-network=host: say --host-network instead")
        if self.network == "none":
            raise ConfigError("--docker-network=none: no proxy could reach the servers")
        if self.network and not _NETWORK.fullmatch(self.network):
            raise ConfigError(
                f"--docker-network={self.network}: no network has such a name; use letters, digits,"
                " '_', '.' and '-', beginning with a letter or digit"
            )
        _address("--container-ip", self.container_ip)

    @property
    def place(self) -> str:
        """The network that servers, or those who reach them, are on; "" for the engine's own."""
        if self.host_network or (self.apart and not self.own_networks):
            return ""
        unnamed = {"none": CLOSED_NETWORK, "internet": INTERNET_NETWORK}
        return self.network or unnamed.get(self.egress, "")

    @property
    def apart(self) -> bool:
        """Whether each server has a network of its own.

        In Podman containers of one network always reach each other.
        """
        if self.egress == "none" and self.kind.podman:
            return True
        return self.own_networks and self.egress != "all"

    @property
    def published(self) -> bool:
        """Whether servers are found at ports of the engine's machine."""
        return not (self.host_network or self.place or self.apart)

    @property
    def published_on(self) -> str:
        """The network of published servers; "" for the engine's own, or what the operator wants.

        The engine's own has far more addresses than servers, and containers of others on it.
        """
        more = self.extra_host_config
        if self.kind.podman or "network_mode" in more or "links" in more or not self.published:
            return ""
        return OPEN_NETWORK

    @property
    def way_out(self) -> str:
        """The network that leads to the internet and nowhere else; "" without such a one."""
        if self.egress != "internet":
            return ""
        return INTERNET_NETWORK if self.apart else self.place

    @property
    def wanted(self) -> Wanted:
        """What is asked of the engine that it may not be able to enforce."""
        limits = self.limits
        return Wanted(
            memory=self.memory,
            cpu_quota=self.cpu_quota,
            cpu_shares=self.cpu_shares,
            processes=limits.processes,
            own_kernel=has_own_kernel(limits.runtime),
        )


def memory(text: str) -> int:
    """Return "512m", "1.5g" or "1GiB" in bytes; 0 for "" and "0", which mean no limit.

    Raises:
        ConfigError: It is no size, or less than the engine takes.
    """
    found = size("--mem-limit", text)
    if 0 < found < SMALLEST_MEMORY:
        raise ConfigError(f"--mem-limit={text}: the engine needs 6m at least; did you mean {text}m")
    return found


def size(flag: str, text: str) -> int:
    """Return the size a flag gives in bytes; 0 for "" and "0".

    Raises:
        ConfigError: It is no size.
    """
    if not text.strip():
        return 0
    found = _MEMORY.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{flag}={text}: not a size; write for example 512m or 2g")
    return int(float(found[1]) * _UNITS[(found[2] or "").lower()])


def mounts(text: str) -> tuple[Mount, ...]:
    """Return the directories of a list like `/data,/books:/mnt/books:rw`.

    Raises:
        ConfigError: Names the entry that is wrong.
    """
    found = [_mount(entry, index) for index, entry in enumerate(_entries(text))]
    targets = [mount.target for mount in found]
    for target in targets:
        if targets.count(target) > 1:
            raise ConfigError(f"--host-directories: two directories at {target}")
    return tuple(found)


def _mount(entry: str, index: int) -> Mount:
    parts = entry.split(":")
    mode = parts.pop() if len(parts) > 1 and not parts[-1].startswith("/") else "ro"
    source, target = parts[0], parts[1] if len(parts) > 1 else f"/mnt/vol{index}"
    absolute = source.startswith("/") and target.startswith("/") and target.strip("/")
    if mode not in ("ro", "rw") or len(parts) > 2 or not absolute:
        raise ConfigError(
            f"--host-directories: cannot read {entry!r}; write /directory, /directory:/mount"
            " or /directory:/mount:rw"
        )
    return Mount(source, target.rstrip("/"), read_only=mode == "ro")


def subnets(text: str) -> IPv4Network:
    """Return the range that servers' own networks are taken from.

    Raises:
        ConfigError: It is none, or too small.
    """
    try:
        found = IPv4Network(text.strip())
    except ValueError as error:
        wish = f"write for example {OWN_SUBNETS}"
        raise ConfigError(f"--own-subnets={text}: {error}; {wish}") from error
    if found.prefixlen > 28:
        raise ConfigError(f"--own-subnets={text}: too small; a server takes a /28")
    return found


def extra_hosts(value: str | Iterable[str]) -> tuple[str, ...]:
    """Return the entries of `name:address,…`; the address may be IPv6, with or without [].

    Raises:
        ConfigError: Names the entry that is wrong.
    """
    return tuple(_host(entry) for entry in _entries(value))


def _host(entry: str) -> str:
    name, colon, address = entry.partition(":")
    if not (name and colon and address) or re.search(r"\s", entry):
        raise ConfigError(f"--extra-hosts: cannot read {entry!r}; write name:address")
    if address == "host-gateway":  # the engine's word for its own machine
        return entry
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    return f"{name}:{_address(f'--extra-hosts: {entry!r}', bare)}"


def _address(where: str, text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise ConfigError(f"{where}: {text!r} is not an IP address") from error


def _entries(value: str | Iterable[str]) -> list[str]:
    listed = value.split(",") if isinstance(value, str) else value
    return [entry.strip() for entry in listed if entry.strip()]
