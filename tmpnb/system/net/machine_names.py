"""The names that this machine goes by, as it says itself: no name server has a say in it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

HOSTS = Path("/etc/hosts")
MOST = 1 << 20  # bytes of that file; lists of what is to be blocked stand far below the names
_COMMENT = re.compile(r"#.*")


def machine_names(hosts: Path = HOSTS) -> frozenset[str]:
    """Return what this machine calls itself, and the names beside that in its list of hosts.

    Args:
        hosts: The list: lines of an address and its names, the full one among them.
    """
    own = socket.gethostname().lower()
    found = {own}
    for line in _text(hosts).lower().splitlines():
        names = _COMMENT.sub("", line).split()[1:]
        if own in names:
            found.update(names)
    return frozenset(found)


def _text(hosts: Path) -> str:
    try:
        with hosts.open("rb") as file:
            return file.read(MOST).decode(errors="replace")
    except OSError:
        return ""
