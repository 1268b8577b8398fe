"""What a form said, kept for a while for the page that its answer leads to. Synchronous."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MOST = 2_000  # forms that are kept; the one unused for longest is forgotten first
MOST_OF_ONE = 32  # forms of one network; the same there
LONGEST = 4_096  # bytes of all fields of one form, in UTF-8
SECRETS = frozenset({"ticket", "token", "offer", "pass"})  # fields
# Seconds. A page that waits without JavaScript uses its form again every few of them.
UNUSED_WITH_SECRET = 300.0
UNUSED = 3_600.0
OLDEST = 14_400.0


@dataclass(slots=True)
class _Kept:
    network: str
    fields: Mapping[str, str] = field(repr=False)
    since: float
    used: float

    def has_expired(self, now: float) -> bool:
        unused = UNUSED if SECRETS.isdisjoint(self.fields) else UNUSED_WITH_SECRET
        return now - self.used >= unused or now - self.since >= OLDEST


class Forms:
    """Keeps forms by random keys, each good in the network that it came from.

    The address that a POST redirects to has a key of ours in it and none of the form's secrets.
    Whoever has the address has the key, so it is good for a while only.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none.

        Args:
            clock: Returns seconds that no change of the system's time moves.
        """
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the one unused for longest first
        self._clock = clock

    def keep(self, network: str, fields: Mapping[str, str]) -> str:
        """Return the key of a form; empty if it says too much.

        Args:
            network: That it came from.
            fields: By name.
        """
        said = {name: value for name, value in fields.items() if value}
        if sum(len(value.encode()) for value in said.values()) > LONGEST:
            return ""
        now, key = self._clock(), secrets.token_urlsafe(12)
        self._make_room(network, now)
        self._kept[key] = _Kept(network, said, since=now, used=now)
        return key

    def find(self, key: str, network: str) -> Mapping[str, str] | None:
        """Return the fields of a form; None if it is forgotten, or came from another network."""
        form, now = self._kept.get(key), self._clock()
        if form is None or form.network != network:
            return None
        if form.has_expired(now):
            del self._kept[key]
            return None
        form.used = now
        self._kept.move_to_end(key)
        return form.fields

    def _make_room(self, network: str, now: float) -> None:
        """Forget what has expired, and so many others that one more of a network is kept."""
        for key in [key for key, form in self._kept.items() if form.has_expired(now)]:
            del self._kept[key]
        theirs = [key for key, form in self._kept.items() if form.network == network]
        for key in theirs[: max(0, len(theirs) - MOST_OF_ONE + 1)]:
            del self._kept[key]
        while len(self._kept) >= MOST:
            self._kept.popitem(last=False)
