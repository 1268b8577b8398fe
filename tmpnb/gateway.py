"""The gateway of this network, which stands for the machine to the containers on it."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

ROUTES = Path("/proc/net/route")
_DESTINATION, _GATEWAY = 1, 2  # columns


def gateway() -> IPv4Address | None:
    """Return where packets go that are for no network of ours; None if there is no such place."""
    try:
        return default_route(ROUTES.read_text())
    except OSError:
        return None


def default_route(table: str) -> IPv4Address | None:
    """Return the gateway in a table of routes as Linux writes it. Pure.

    Args:
        table: Of /proc/net/route: one route a line, addresses as hexadecimal numbers with
            their last byte first.
    """
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > _GATEWAY and int(words[_DESTINATION], 16) == 0:
            found = IPv4Address(bytes.fromhex(words[_GATEWAY])[::-1])
            if int(found):
                return found
    return None
