"""What a form said, kept for the page that its answer leads to. Synchronous."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping

MOST = 2_000  # forms that are kept; the oldest is forgotten first
LONGEST = 16_384  # characters of all fields of one form


class Forms:
    """Keeps forms by random keys, each good in the network that it came from.

    The address that a POST redirects to has a key of ours in it and none of the form's secrets.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: OrderedDict[str, tuple[str, Mapping[str, str]]] = OrderedDict()

    def keep(self, network: str, fields: Mapping[str, str]) -> str:
        """Return the key of a form; empty if it says too much.

        Args:
            network: That it came from.
            fields: By name.
        """
        said = {name: value for name, value in fields.items() if value}
        if sum(map(len, said.values())) > LONGEST:
            return ""
        key = secrets.token_urlsafe(12)
        self._kept[key] = network, said
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return key

    def find(self, key: str, network: str) -> Mapping[str, str] | None:
        """Return the fields of a form; None if it is forgotten, or came from another network."""
        came_from, fields = self._kept.get(key, ("", {}))
        if key not in self._kept or came_from != network:
            return None
        self._kept.move_to_end(key)
        return fields
