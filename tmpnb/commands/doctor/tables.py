"""The tables of the engine's machine that a server takes places in: connections and neighbours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tmpnb.spawners.examination import Examination, ServerNetwork
from tmpnb.spawners.finding import Finding, ok, skip, warn

TOPIC = "tables"
SYSTEM = Path("/proc/sys/net")
CONNECTIONS, TRACKED = "netfilter/nf_conntrack_max", "netfilter/nf_conntrack_count"
NEIGHBOURS = "ipv4/neigh/default/gc_thresh3"
NEIGHBOURS6 = "ipv6/neigh/default/gc_thresh3"
KNOWN = Path("/proc/net/arp")  # one line each, and a title
NFT = ("nft", "list", "table", "inet", "tmpnb")
DEADLINE = 10.0  # seconds for nft
MOST_ADDRESSES = 1024  # of a network; a machine's usual table of neighbours holds as many
BOUND = "tmpnb firewall --apply, as root on the engine's machine"
KEEP = "sysctl -w {}={}, and the same in a file in /etc/sysctl.d"
ANEW = "while no server runs, docker network rm {}, and start tmpnb again"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the firewall's rules hold one server to.

    Attributes:
        connections: Of one server; 0: there is no bound.
        bridges: How the names of the bridges begin that it is for, with `*`, or whole names.
    """

    connections: int = 0
    bridges: tuple[str, ...] = ()

    def hold(self, bridge: str) -> bool:
        """Return whether they are for a bridge."""
        return any(
            bridge.startswith(name[:-1]) if name.endswith("*") else bridge == name
            for name in self.bridges
        )


async def findings(examination: Examination, capacity: int) -> AsyncGenerator[Finding, None]:
    """Yield what the tables hold and what a full pool could take of them.

    Args:
        examination: Of the engine.
        capacity: Servers in all.
    """
    found = await examination.server_networks()
    if not found:
        return
    if not examination.is_here:
        yield skip(TOPIC, "unknown: those of the engine's machine cannot be seen from here")
    else:
        bounds = await in_force()
        yield connections_finding(found, capacity, _number(CONNECTIONS), _number(TRACKED), bounds)
        yield neighbours_finding(found, capacity, _number(NEIGHBOURS), _known())
    for network in found:
        if finding := network_finding(network, capacity, _number(NEIGHBOURS6)):
            yield finding


def connections_finding(
    found: Sequence[ServerNetwork],
    capacity: int,
    most: int | None,
    now: int | None,
    bounds: Bounds | None,
) -> Finding:
    """Say whether a full pool fits into the table of connections. Pure.

    Args:
        found: Where servers are.
        capacity: Servers in all.
        most: Connections that the table holds; None: it is not there, or not for us to see.
        now: That are in it.
        bounds: In force; None: that cannot be seen.
    """
    if most is None:
        return skip(TOPIC, "unknown: the kernel's table of connections is not to be seen")
    holds = f"the machine's table of {most} connections"
    if bounds is None:
        words = f"unknown whether one server can fill {holds}: this user may not list the rules"
        return skip(TOPIC, f"{words}; run doctor as root, with nft installed")
    left = [network.name for network in found if not bounds.hold(network.bridge)]
    if not bounds.connections:
        return warn(TOPIC, f"nothing keeps one server from filling {holds}", BOUND)
    if left:
        names = ",".join(n.bridge for n in found if n.name in left)
        words = f"a server on {', '.join(left)} can fill {holds}"
        proxies = "and --proxies for a proxy there"
        return warn(TOPIC, words, f"{BOUND}, with --bridges={names}, {proxies}")
    taken = capacity * bounds.connections
    words = f"{capacity} servers of {bounds.connections} connections may take {taken} in {holds}"
    if taken > most:
        name = "net." + CONNECTIONS.replace("/", ".")
        mend = f"{KEEP.format(name, 2 * taken)}; or fewer with tmpnb firewall --connections"
        return warn(TOPIC, words, mend)
    return ok(TOPIC, words if now is None else f"{words}, {now} are in it")


def neighbours_finding(
    found: Sequence[ServerNetwork], capacity: int, most: int | None, now: int
) -> Finding:
    """Say whether a full pool fits into the table of neighbours. Pure.

    Each server may ask for all addresses of the networks that it is on, and by ways that are not
    usual for others.

    Args:
        found: Where servers are.
        capacity: Servers in all.
        most: Neighbours that the table holds; None: not for us to see.
        now: That this machine's own network has.
    """
    if most is None:
        return skip(TOPIC, "unknown: the kernel's table of neighbours is not to be seen from here")
    taken = capacity * sum(network.addresses for network in found)
    words = f"{capacity} servers may ask for {taken} neighbours as usual, the machine's table"
    words += f" holds {most}"
    if taken + now > most:
        wanted = 2 * (taken + now)
        return warn(TOPIC, words, KEEP.format("net." + NEIGHBOURS.replace("/", "."), wanted))
    return ok(TOPIC, f"{words}, {now} are in it")


def network_finding(network: ServerNetwork, capacity: int, most6: int | None) -> Finding | None:
    """Say what is wrong with a network of servers; None if nothing is. Pure.

    Args:
        network: It.
        capacity: Servers in all.
        most6: Neighbours in IPv6 that the machine's table holds; None: not for us to see.
    """
    if network.addresses >= max(MOST_ADDRESSES, 4 * capacity):
        words = f"the network {network.name} has {network.addresses} addresses, and one server can"
        own = ANEW.format(network.name)
        mend = "leave --docker-network out" if network.name == "bridge" else own
        return warn(TOPIC, f"{words} fill the machine's table of neighbours", mend)
    if network.is_second:
        words = (
            "a server that names its network card, as it has two, can fill the machine's table of"
        )
        return warn(TOPIC, f"{words} neighbours for seconds", "--runtime=runsc, or --egress=none")
    if network.in_six:
        holds = "" if most6 is None else f", which holds {most6}"
        words = f"on the network {network.name} one server can fill the machine's table of"
        mend = "leave IPv6 off for that network"
        return warn(TOPIC, f"{words} neighbours in IPv6{holds}", mend)
    return None


def bounds_in(rules: str) -> Bounds:
    """Return what rules, as nft lists them, hold servers to. Pure."""
    open_ = re.search(r"add @open4 \{ ip saddr ct count (\d+) \}", rules)
    bridges = re.findall(r'iifname "([^"]+)".* ct state new jump bound', rules)
    return Bounds(2 * int(open_[1]) if open_ else 0, tuple(bridges))


async def in_force() -> Bounds | None:
    """Return the bounds in force on this machine; None if that cannot be seen."""
    try:
        process = await asyncio.create_subprocess_exec(
            *NFT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(DEADLINE):
            printed, said = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        return Bounds() if b"No such file" in said else None
    return bounds_in(printed.decode(errors="replace"))


def _number(name: str) -> int | None:
    try:
        return int((SYSTEM / name).read_text())
    except (OSError, ValueError):
        return None


def _known() -> int:
    try:
        return max(0, len(KNOWN.read_text().splitlines()) - 1)
    except OSError:
        return 0
