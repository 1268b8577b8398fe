"""Whether the sender of a request is still waiting for the response. Synchronous."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Presence:
    """Someone at the other end of a connection, who may hang up at any time, once."""

    def __init__(self) -> None:
        self.left = False
        self._calls: list[Callable[[], None]] = []

    def leave(self) -> None:
        """Note that they have left."""
        self.left = True
        for call in tuple(self._calls):
            call()

    @contextmanager
    def telling(self, call: Callable[[], None]) -> Iterator[None]:
        """Have `call` called if they leave during the block."""
        self._calls.append(call)
        try:
            yield
        finally:
            self._calls.remove(call)
