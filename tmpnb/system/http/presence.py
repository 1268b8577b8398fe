"""Whether the one who sent a request still waits for the answer. Synchronous."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Presence:
    """Somebody at the other end of a connection, who may hang up at any time, and once."""

    def __init__(self) -> None:
        self.left = False
        self._calls: list[Callable[[], None]] = []

    def leave(self) -> None:
        """Note that nobody is there any more."""
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
