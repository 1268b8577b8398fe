"""Which of this machine's network interfaces lead to other machines, as Linux tells."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from tmpnb.spawners.egress.rules import BRIDGES

SYSTEM = Path("/sys/class/net")
DEEPEST = 4  # a VLAN over a bond in a bridge, over hardware
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
_ENGINES = re.compile(r"docker[0-9]+|(cni-)?podman[0-9]+|br-.*")


def leads_outside(name: str) -> bool:
    """Return whether an interface is hardware, or is over some, as the bridge of a LAN is.

    A container's own interface is neither, and leads to its neighbours. False as well for a
    bridge of an engine, by its name, and where nothing can be told.
    """
    if not _NAME.fullmatch(name) or _ENGINES.fullmatch(name) or name.startswith(BRIDGES):
        return False
    place = SYSTEM / name
    try:
        # What is shown there may be of another network namespace.
        is_ours = int((place / "ifindex").read_text()) == socket.if_nametoindex(name)
        return is_ours and _has_hardware(place, DEEPEST)
    except (OSError, ValueError):
        return False


def _has_hardware(place: Path, depth: int) -> bool:
    if (place / "device").exists():
        return True
    return depth > 0 and any(_has_hardware(below, depth - 1) for below in place.glob("lower_*"))
