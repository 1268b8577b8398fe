"""Whose port an address names: ours, that of another user of this machine, or another machine's."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Collection
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from tmpnb.system.net import proc_net
from tmpnb.system.net.host_port import reachable
from tmpnb.system.net.networks import Address
from tmpnb.system.net.proc_net import Listener

TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
LARGEST = 16 * 1024 * 1024  # characters of a table, in which listeners come first
PATIENCE = 5.0  # seconds for a name to be looked up
EVERY = {4: ("0.0.0.0", "::"), 6: ("::",)}  # noqa: S104 - recognised, in the kernel's order
ROOT = 0


class Owner(Enum):
    """Whose port it is."""

    OURS = "ours"  # or that of root
    ANOTHER = "another user's"
    UNKNOWN = "unknown"  # it is on this machine, which does not tell
    ELSEWHERE = "another machine's"


async def owner(url: str) -> Owner:
    """Return whose port it is. Nothing is sent to it.

    Args:
        url: `http://127.0.0.1:10000`.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    asked = loop.getaddrinfo(reachable(parts.hostname or ""), port, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.wait_for(asked, PATIENCE)
    except (OSError, UnicodeError):  # a time-out is an OSError
        return Owner.UNKNOWN
    addresses = {_address(entry[4][0]) for entry in found}
    near = {one for one in addresses if _is_here(one)}
    return judge(near, port, _listeners(), os.geteuid()) if near else Owner.ELSEWHERE


def judge(
    near: Collection[Address], port: int, table: Collection[Listener] | None, own_id: int
) -> Owner:
    """Return whose port it is.

    Args:
        near: The addresses that it may be at, all on this machine.
        port: Its number.
        table: Who listens on this machine; None if it does not tell.
        own_id: The user that asks.
    """
    users = {one.user_id for address in near for one in _takers(address, port, table or ())}
    if not users:
        return Owner.UNKNOWN
    return Owner.OURS if users <= {own_id, ROOT} else Owner.ANOTHER


def _takers(address: Address, port: int, table: Collection[Listener]) -> list[Listener]:
    """Return those whom the kernel gives a connection: one for the address goes before others."""
    for ip in (str(address), *EVERY[address.version]):
        if found := [one for one in table if (one.ip, one.port) == (ip, port)]:
            return found
    return []


def _address(text: str | int) -> Address:
    found = ipaddress.ip_address(str(text).partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def _is_here(address: Address) -> bool:
    """Whether it is an address of this machine: the kernel would use it as its own. Sends nothing.

    Args:
        address: Of a host.
    """
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return _address(probe.getsockname()[0]) == address
    except OSError:
        return False


def _listeners() -> tuple[Listener, ...] | None:
    text = ""
    for table in TABLES:
        try:
            with table.open(encoding="ascii") as file:
                text += file.read(LARGEST).rpartition("\n")[0] + "\n"
        except FileNotFoundError:  # without IPv6, or no Linux
            continue
        except (OSError, ValueError):
            return None
    return proc_net.parse(text)
