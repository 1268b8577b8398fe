"""Who holds what, among the things there still are. Synchronous."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection

SPARE = 64  # things that may be gone and are still remembered


class Holdings:
    """Counts by name what each holds; what is gone is forgotten when it is looked at."""

    def __init__(self, still: Callable[[Collection[str]], Collection[str]]) -> None:
        """Begin with nobody.

        Args:
            still: Returns those of some ids that there still are.
        """
        self._still = still
        self._holder: dict[str, str] = {}  # by id
        self._held: defaultdict[str, set[str]] = defaultdict(set)  # by name
        self._sweep_at = SPARE

    def __len__(self) -> int:
        return len(self._holder)

    def __contains__(self, thing: str) -> bool:
        return thing in self._holder

    def add(self, name: str, thing: str) -> None:
        """Note that `name` holds a thing, and nobody else does."""
        self.drop(thing)
        self._holder[thing] = name
        self._held[name].add(thing)
        if len(self._holder) > self._sweep_at:
            self._forget_gone(tuple(self._holder))
            self._sweep_at = 2 * len(self._holder) + SPARE

    def drop(self, thing: str) -> None:
        """Note that nobody holds a thing any more."""
        name = self._holder.pop(thing, None)
        if name is None:
            return
        self._held[name].discard(thing)
        if not self._held[name]:
            del self._held[name]

    def holder(self, thing: str) -> str | None:
        """Return who holds a thing; None for nobody."""
        return self._holder.get(thing)

    def count(self, name: str) -> int:
        """Return how many things a name holds now."""
        self._forget_gone(tuple(self._held.get(name, ())))
        return len(self._held.get(name, ()))

    def _forget_gone(self, things: Collection[str]) -> None:
        for thing in set(things).difference(self._still(things)):
            self.drop(thing)
