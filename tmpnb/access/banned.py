"""The networks that get nothing: a list of the command line, or a file that may change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from tmpnb.errors import ConfigError
from tmpnb.system.files import plain_file
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Address, Networks

log = logging.getLogger(__name__)

FLAG = "--banned-networks"
LARGEST = 10_000_000  # bytes of a file
LOOK_EVERY = 1.0  # seconds


class Banned:
    """Knows who is banned. A changed file counts within `LOOK_EVERY` seconds.

    A file that has become unreadable, or has a mistake, is said once in the log, and the
    list of before goes on.
    """

    def __init__(self, given: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """Read the list.

        Args:
            given: Networks, or `@` and the name of a file with networks.
            clock: Time in seconds.

        Raises:
            ConfigError: A network is none, or the file cannot be read.
        """
        self._clock, self._looked = clock, clock()
        self._file = Path(given[1:]) if given.startswith("@") else None
        self._state = self._stat()
        self._networks = self._read() if self._file else Networks(networks.parse(given, FLAG))

    @property
    def networks(self) -> Networks:
        """The networks of the list as it was last read."""
        return self._networks

    def __contains__(self, address: Address | None) -> bool:
        if self._file is not None and self._clock() - self._looked >= LOOK_EVERY:
            self._looked = self._clock()
            self._read_again()
        return address in self._networks

    @property
    def count(self) -> int:
        """How many networks there are, as last read."""
        return len(self._networks)

    def _read_again(self) -> None:
        state = self._stat()
        if state == self._state:
            return
        self._state = state
        try:
            self._networks = self._read()
            log.info("%s: %d networks in %s", FLAG, len(self._networks), self._file)
        except ConfigError as error:
            log.warning("%s; the list of before stays in force", error)

    def _read(self) -> Networks:
        assert self._file is not None  # noqa: S101 - asked by those who have one
        try:
            text = plain_file.text(self._file, LARGEST)
        except OSError as error:
            raise ConfigError(f"{FLAG}=@{self._file}: {error.strerror}") from error
        return Networks(networks.parse(text, f"{FLAG}=@{self._file}"))

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat() if self._file else None
        except OSError:
            return None
        return found and (found.st_mtime_ns, found.st_size, found.st_ino)
