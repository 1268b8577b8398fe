"""Who listens on which port, as Linux writes it in /proc/net/tcp and tcp6. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from tmpnb.system.net.host_port import place

LISTENING = "0A"  # the state, in the kernel's numbers


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket that takes connections."""

    ip: str
    port: int
    user_id: int

    @property
    def is_loopback(self) -> bool:
        """Whether only its own machine or container reaches it."""
        return ipaddress.ip_address(self.ip).is_loopback

    def __str__(self) -> str:
        """Return `ip:port`."""
        return place(self.ip, self.port)


def parse(text: str) -> tuple[Listener, ...]:
    """Return the listeners in one or more of these tables; what is no row is left out."""
    found = set()
    for row in text.splitlines():
        fields = row.split()
        if len(fields) < 8 or fields[3] != LISTENING:
            continue
        address, colon, port = fields[1].partition(":")
        if colon:
            found.add(Listener(_ip(address), int(port, 16), int(fields[7])))
    return tuple(sorted(found, key=lambda one: (one.port, one.ip, one.user_id)))


def _ip(text: str) -> str:
    """Return an address that is written as 32-bit words with the lowest byte first."""
    raw = bytes.fromhex(text)
    words = (raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
