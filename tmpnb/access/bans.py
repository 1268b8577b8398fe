"""The networks that are banned while the service runs: added, removed, kept over restarts."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tmpnb.access.banned import Banned
from tmpnb.errors import BansFullError, ConfigError
from tmpnb.system.files import plain_file
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Address, Network, Networks

log = logging.getLogger(__name__)

MOST = 10_000  # networks; longer lists belong in a file of --banned-networks
LARGEST = 1_000_000  # bytes of the file: as many networks, a few times over


class Bans:
    """Knows who is banned, by the settings or since. Synchronous.

    Those of the settings stand in `given`, and nobody removes them here.
    """

    def __init__(
        self,
        given: Banned | None = None,
        path: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read what is kept.

        Args:
            given: The networks of the settings.
            path: Where the others are kept; None: nowhere.
            clock: Unix time in seconds, by the system's clock.
        """
        self.given = Banned() if given is None else given
        self._path, self._clock = path, clock
        self._since: dict[Network, float] = self._read()
        self._networks = Networks(self._since)

    def __contains__(self, address: Address | None) -> bool:
        return address in self._networks or address in self.given

    @property
    def since(self) -> Mapping[Network, float]:
        """The networks that were added, with the time of each, Unix time in seconds."""
        return self._since

    def add(self, network: Network) -> bool:
        """Ban a network from now on; return whether that outlives a restart.

        Raises:
            BansFullError: There are too many.
        """
        if network not in self._since and len(self._since) >= MOST:
            raise BansFullError(
                f"{MOST} networks are banned already; write long lists into a file of "
                "--banned-networks=@file"
            )
        return self._keep({**self._since, network: self._since.get(network, self._clock())})

    def remove(self, network: Network) -> bool:
        """Ban a network no more; return whether that outlives a restart.

        Raises:
            KeyError: It was not added here.
        """
        self._since[network]  # raises
        return self._keep({n: since for n, since in self._since.items() if n != network})

    def _keep(self, bans: dict[Network, float]) -> bool:
        """Let these count, and write them down; that the disk is full keeps nobody from it."""
        self._since, self._networks = bans, Networks(bans)
        if self._path is None:
            return False
        draft = self._path.with_suffix(".bans-new")
        try:
            listed = {str(network): int(since) for network, since in bans.items()}
            draft.write_text(json.dumps(listed, indent=0) + "\n", encoding="ascii")
            os.replace(draft, self._path)
        except OSError as error:
            log.warning(
                "cannot write %s: %s; the bans count until a restart", self._path, error.strerror
            )
            return False
        return True

    def _read(self) -> dict[Network, float]:
        """Return what the file says; that it makes no sense is said, and costs no start."""
        if self._path is None:
            return {}
        try:
            kept = json.loads(plain_file.read(self._path, LARGEST))
            return {network(text): float(since) for text, since in list(kept.items())[:MOST]}
        except FileNotFoundError:
            return {}
        except (
            OSError,
            ValueError,
            TypeError,
            AttributeError,
            ConfigError,
            RecursionError,
        ) as error:
            log.warning("no bans are read from %s: %s", self._path, error)
            return {}


def written(network: Network) -> str:
    """Return a network as people write it: one address as an address."""
    return str(network if network.num_addresses > 1 else network.network_address)


def network(text: str) -> Network:
    """Return the one network that a text is.

    Raises:
        ConfigError: It is none, or several; in one line.
    """
    found = networks.parse(text[: networks.LONGEST], "a ban")
    if len(found) != 1:
        raise ConfigError("a ban is for one network; write 192.0.2.0/24 or 2001:db8::/32")
    return found[0]
