"""The networks of all servers: made if need be, again if one is gone, and removed when empty.

All of it blocks: call it through the door.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import docker
from docker.errors import APIError, NotFound

from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.docker.labels import INTERNET_NETWORK
from tmpnb.spawners.docker.networks.bridges import ensure
from tmpnb.spawners.docker.options import CLOSED_NETWORK, OPEN_NETWORK

PAUSE = 0.1  # seconds between two tries
LOOKS = 10  # before one is left there
OURS = frozenset([OPEN_NETWORK, CLOSED_NETWORK, INTERNET_NETWORK])  # what nobody else named


class SharedNetworks:
    """Those of one pool. Another pool may be on them as well, and remove what it finds empty."""

    def __init__(self, client: docker.APIClient, *, fleeting: bool = False) -> None:
        """Begin with none.

        Args:
            client: Of the engine.
            fleeting: Whether those that are made here go in the end, whoever named them.
        """
        self._client, self._fleeting = client, fleeting
        self._makers: dict[str, Callable[[], bool]] = {}
        self._made: set[str] = set()

    def add(self, name: str, *about: Any, **settings: Any) -> None:
        """Make one unless it is there; arguments and errors as of `ensure`."""
        make = partial(ensure, self._client, name, *about, **settings)
        if make():
            self._made.add(name)
        self._makers[name] = make

    def restore(self) -> None:
        """Make those again that are gone.

        Raises:
            SpawnerError: One cannot be made now.
        """
        for name, make in self._makers.items():
            try:
                self._client.inspect_network(name)
            except NotFound:
                try:
                    make()
                except ConfigError as error:
                    raise SpawnerError(str(error)) from error

    def remove(self) -> None:
        """Remove those of tmpnb's own names that no container is on, running or not."""
        more = self._made if self._fleeting else set()
        for name in (OURS & self._makers.keys()) | more:
            for _ in range(LOOKS):
                if self._is_settled(name):
                    break
                time.sleep(PAUSE)

    def _is_settled(self, name: str) -> bool:
        """Remove one if it is empty; return False while the engine lets go of who was on it."""
        if self._client.containers(all=True, filters={"network": name}):
            return True
        try:
            self._client.remove_network(name)
        except NotFound:
            return True
        except APIError:
            return False
        return True
