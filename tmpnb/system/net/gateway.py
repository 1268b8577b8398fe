"""Where this machine's packets go: networks, and the gateway that a container is reached from."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

ROUTES = Path("/proc/net/route")
_DESTINATION, _GATEWAY, _MASK = 1, 2, 7  # columns


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
            found = _address(words[_GATEWAY])
            if int(found):
                return found
    return None


def routed() -> list[IPv4Network]:
    """Return the networks that this machine has routes to; none if it does not tell."""
    try:
        return routes(ROUTES.read_text())
    except OSError:
        return []


def routes(table: str) -> list[IPv4Network]:
    """Return the networks in a table of routes, without the one of everything else. Pure.

    Args:
        table: As `default_route` reads it.
    """
    rows = [line.split() for line in table.splitlines()[1:]]
    found = [
        IPv4Network((_address(row[_DESTINATION]), str(_address(row[_MASK]))), strict=False)
        for row in rows
        if len(row) > _MASK
    ]
    return [network for network in found if network.prefixlen]


def _address(written: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(written)[::-1])
