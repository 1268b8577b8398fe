"""What this machine tells `tmpnb doctor` about servers that are its own processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from tmpnb.errors import TmpnbError
from tmpnb.spawners.examination import Examination
from tmpnb.spawners.finding import Finding, failure, ok, skip, warn
from tmpnb.system import units

USUAL_MEMORY = 128 * 1024**2  # bytes of a server with one idle kernel; nothing limits it
LITTLE_DISK = 1024**3  # bytes


class LocalExamination(Examination):
    """Looks at this machine."""

    def __init__(
        self, check: Callable[[], Awaitable[None]], directory: Path, left_out: Callable[[], str]
    ) -> None:
        """Keep what is needed.

        Args:
            check: Raises ConfigError or SpawnerError if no server can be started.
            directory: Where the servers' directories are.
            left_out: What homes begin without, in words, as the check has found.
        """
        self._check, self._directory, self._left_out = check, directory, left_out

    async def findings(self, capacity: int) -> AsyncGenerator[Finding, None]:
        """See `Examination`."""
        try:
            await self._check()
        except TmpnbError as error:
            yield failure("engine", str(error))
            yield skip("memory", "needs the engine")
            yield skip("disk", "needs the engine")
            return
        yield warn(
            "engine",
            f"servers are processes of this user (id {os.geteuid()}), kept from nothing",
            "to serve others, --spawner=docker",
        )
        if words := self._left_out():
            yield warn("contents", f"of --notebook-dir are {words}")
        yield memory_finding(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), capacity)
        yield disk_finding(self._directory)


def memory_finding(total: int, capacity: int) -> Finding:
    """Say whether `total` bytes are enough for usual servers. Pure."""
    words = (
        f"{capacity} servers of some {units.in_words(USUAL_MEMORY)} take"
        f" {units.in_words(capacity * USUAL_MEMORY)}, this machine has {units.in_words(total)}"
    )
    if capacity * USUAL_MEMORY > total:
        return warn("memory", words, "lower --pool-size")
    return ok("memory", words)


def disk_finding(directory: Path) -> Finding:
    """Say how much disk is left for what visitors write."""
    try:
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return skip("disk", f"{directory} cannot be seen: {error.strerror}")
    words = f"{units.in_words(free)} free in {directory}"
    if free < LITTLE_DISK:
        return warn("disk", words, "make room, or choose another --LocalProcessSpawner.directory")
    return ok("disk", words)
