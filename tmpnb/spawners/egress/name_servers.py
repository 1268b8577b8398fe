"""Which name servers a Docker engine of this machine asks for its containers, and from where.

It asks them in the container's own network, but for those that the machine has on loopback: these
it asks itself, as the machine, whatever firewall is between the container and the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tmpnb.system.net import networks

MACHINE = Path("/etc/resolv.conf")
SYSTEMD = Path("/run/systemd/resolve/resolv.conf")  # whom its own name server asks
STUB = "127.0.0.53"  # that name server, past which Docker goes
ENGINE = Path("/etc/docker/daemon.json")
MEND = (
    '"dns": ["9.9.9.9"] in /etc/docker/daemon.json, or dns in extra_host_config, with a name server'
)
MEND += " that is not on this machine"


@dataclass(frozen=True, slots=True)
class Resolvers:
    """Addresses as they are written.

    Attributes:
        asked: For a container that has none of its own.
        by_engine: Of these, whom the engine asks as the machine.
    """

    asked: tuple[str, ...] = ()
    by_engine: tuple[str, ...] = ()


def found() -> Resolvers:
    """Return those of this machine; none where its files cannot be read."""
    return chosen(_told(ENGINE), _named(MACHINE), _named(SYSTEMD))


def chosen(told: Iterable[str], machine: Iterable[str], systemd: Iterable[str]) -> Resolvers:
    """Return which are asked. Pure.

    Args:
        told: In the engine's own settings; what is on loopback there is the container's.
        machine: In the machine's `resolv.conf`.
        systemd: In that of systemd.
    """
    if own := tuple(told):
        return Resolvers(own)
    named = tuple(machine)
    if named == (STUB,):
        named = tuple(systemd)
    return Resolvers(named, tuple(text for text in named if _is_loopback(text)))


def _is_loopback(text: str) -> bool:
    address = networks.address(text)
    return address is not None and address.is_loopback


def _named(path: Path) -> list[str]:
    with suppress(OSError, ValueError):
        lines = [line.split() for line in path.read_text().splitlines()]
        return [words[1] for words in lines if words[:1] == ["nameserver"] and words[1:]]
    return []


def _told(path: Path) -> list[str]:
    with suppress(OSError, ValueError, RecursionError):
        settings = json.loads(path.read_text())
        told = settings.get("dns") if isinstance(settings, dict) else None
        return [text for text in told if isinstance(text, str)] if isinstance(told, list) else []
    return []
