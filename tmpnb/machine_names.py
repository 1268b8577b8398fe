"""The names that this machine goes by: looked up once, by a thread, as that may block for long."""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection


class MachineNames:
    """What it calls itself, what the resolver calls it, and what the operator adds."""

    def __init__(self, more: Collection[str] = ()) -> None:
        """Begin with what is known at once.

        Args:
            more: Further names.
        """
        self._names = frozenset({*more, socket.gethostname()})

    def look_up(self) -> threading.Thread:
        """Ask the resolver; return the thread that does, which nobody needs to wait for."""
        asking = threading.Thread(target=self._ask, name="own name", daemon=True)
        asking.start()
        return asking

    def __call__(self) -> Collection[str]:
        """Return the names that are known by now."""
        return self._names

    def _ask(self) -> None:
        self._names |= {socket.getfqdn()}
