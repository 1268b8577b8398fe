"""Whose requests are not whole yet, oldest first, and which of them has to go. Synchronous."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Generic, TypeVar

One = TypeVar("One")


class Unfinished(Generic[One]):
    """Connections that a request is awaited from, in the order in which they began to wait.

    Between two requests a connection is one of them. So the oldest is first whichever kind it
    is: who is honest sends a request at once and is in the list for the blink of an eye.
    """

    def __init__(self, most_of_one: int) -> None:
        """Begin with nobody.

        Args:
            most_of_one: How many one client may have.
        """
        self._most_of_one = most_of_one
        self._clients: dict[One, str | None] = {}
        self._of: defaultdict[str, dict[One, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._clients)

    def begin(self, one: One, client: str | None) -> One | None:
        """Note one that waits from now on.

        Args:
            one: The connection.
            client: Whose it is; None if nobody can tell, or if they have no bound.

        Returns:
            The one that has to go, since its client has too many.
        """
        self.end(one)
        self._clients[one] = client
        return self._surplus(one, client)

    def belongs(self, one: One, client: str | None) -> One | None:
        """Note whose it is, which its headers have told; returns as `begin` does."""
        if one not in self._clients:
            return None
        self._leave(one)
        self._clients[one] = client
        return self._surplus(one, client)

    def end(self, one: One) -> None:
        """Forget one whose request is whole, or that is gone."""
        self._leave(one)
        self._clients.pop(one, None)

    def oldest(self, may_go: Callable[[One], bool]) -> One | None:
        """Return the one that has waited longest of those that may go; None if none may."""
        return next((one for one in self._clients if may_go(one)), None)

    def _surplus(self, one: One, client: str | None) -> One | None:
        if client is None:
            return None
        others = self._of[client]
        others[one] = None
        return next(iter(others)) if len(others) > self._most_of_one else None

    def _leave(self, one: One) -> None:
        client = self._clients.get(one)
        if client is None:
            return
        others = self._of[client]
        others.pop(one, None)
        if not others:
            del self._of[client]
