"""Visitors with addresses of their own, played by hosts in network namespaces.

The service runs on a machine, a namespace as well, and each visitor hangs on it by a cable
that leads nowhere else. That is seen before anything is sent: nothing leaves the namespaces.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.network_namespace import Network
from tests.support.requirements import missing

NETWORKS = ("198.51.100", "203.0.113")  # those of documentation, one a cable


@dataclass(frozen=True)
class Host:
    """A visitor's machine.

    Attributes:
        network: Where its connections begin.
        address: What the service sees.
        service: Where it finds the service.
    """

    network: Network
    address: str
    service: str

    async def connect(self, port: int) -> socket.socket:
        """Return a connection of its own to the service."""
        with self.network.inside():  # a socket stays in the network that it was made in
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, (self.service, port))
        except BaseException:
            made.close()
            raise
        return made


@contextmanager
def visited() -> Iterator[tuple[Network, list[Host]]]:
    """Yield a machine, to be entered by whoever starts a service, and its visitors."""
    if os.geteuid() != 0:
        missing("root, for network namespaces")
    if shutil.which("ip") is None:
        missing("ip: apt-get install iproute2")
    with ExitStack() as stack:
        try:
            machine, *guests = (_network(stack) for _ in range(1 + len(NETWORKS)))
        except OSError as error:
            missing(f"the right to make a network namespace ({error})")
        hosts = []
        for number, (guest, network) in enumerate(zip(guests, NETWORKS, strict=True)):
            with machine.inside():
                _ip(f"link add cable{number} type veth peer name cable")
                _ip(f"link set cable netns {guest.path}")
                _ip(f"address add {network}.1/30 dev cable{number}")
                _ip(f"link set cable{number} up")
            with guest.inside():
                _ip(f"address add {network}.2/30 dev cable")
                _ip("link set cable up")
            hosts.append(Host(guest, f"{network}.2", f"{network}.1"))
        cables = {f"cable{number}" for number in range(len(hosts))}
        for one, allowed in ((machine, cables), *((guest, {"cable"}) for guest in guests)):
            with one.inside():
                _see_that_nothing_leaves(allowed)
        yield machine, hosts


def _network(stack: ExitStack) -> Network:
    made = Network()
    stack.callback(made.close)
    return made


def _see_that_nothing_leaves(cables: set[str]) -> None:
    """Fail unless there is nothing but these cables, and no way beyond their other ends."""
    assert {str(link["ifname"]) for link in json.loads(_ip("-json link show"))} == {"lo", *cables}
    for route in json.loads(_ip("-json route show")):
        assert route["dst"] in {f"{network}.0/30" for network in NETWORKS}, route
        assert "gateway" not in route, route


def _ip(words: str) -> Any:
    command = ["ip", *words.split()]
    done = subprocess.run(command, check=True, capture_output=True, timeout=20)  # noqa: S603 - our own
    return done.stdout
