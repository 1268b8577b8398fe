"""Read from /proc what groups of processes use: memory, CPU, descriptors, threads."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")  # of CPU time, a second
PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """What a group of processes uses at one moment."""

    processes: int
    memory: int  # bytes; of what processes share, each has its part
    cpu: float  # seconds since they began
    descriptors: int | None  # open; None: not ours to see
    threads: int

    @classmethod
    def of(cls, pids: Iterable[int]) -> Usage:
        """Read it; processes that end meanwhile are left out."""
        found = [one for pid in pids if (one := _read(pid)) is not None]
        counts = [one.descriptors for one in found]
        return cls(
            len(found),
            sum(one.memory for one in found),
            sum(one.cpu for one in found),
            None if None in counts else sum(n for n in counts if n is not None),
            sum(one.threads for one in found),
        )


def pids_by_name(among: Iterable[int] | None = None) -> dict[str, list[int]]:
    """Return the running processes, or those of some pids, by the name the kernel shows."""
    found: dict[str, list[int]] = {}
    for pid in _all() if among is None else among:
        try:
            name = (PROC / str(pid) / "comm").read_text().strip()
        except OSError:
            continue  # gone
        found.setdefault(name, []).append(pid)
    return found


def descendants(roots: Iterable[int]) -> list[int]:
    """Return the pids that descend from some processes, without those."""
    parents = {pid: int(fields[1]) for pid in _all() if (fields := _stat(pid))}
    beginning = set(roots)
    found, before = set(beginning), 0
    while len(found) > before:
        before = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return sorted(found - beginning)


def cpu_of(pids: Iterable[int]) -> float:
    """Return the seconds of CPU that processes have used since they began."""
    return sum(_cpu(fields) for pid in pids if (fields := _stat(pid)))


def cpu_exactly(pids: Iterable[int]) -> float:
    """Return the seconds of CPU that processes have used, to the nanosecond; they must run."""
    # The number of a process's clock, as clock_getcpuclockid(3) makes it on Linux.
    return sum(time.clock_gettime(((~pid) << 3) | 2) for pid in pids)


def resident() -> int:
    """Return the bytes of memory that this process has in RAM."""
    return int((PROC / "self" / "statm").read_text().split()[1]) * PAGE


def machine() -> str:
    """Return the size of this machine in words."""
    total = os.sysconf("SC_PHYS_PAGES") * PAGE / 2**30
    return f"{os.cpu_count()} cores, {total:.0f} GiB"


def _all() -> list[int]:
    return [int(entry) for entry in os.listdir(PROC) if entry.isdecimal()]


def _read(pid: int) -> Usage | None:
    fields = _stat(pid)
    if not fields:
        return None
    return Usage(1, _memory(pid, fields), _cpu(fields), _descriptors(pid), int(fields[17]))


def _cpu(fields: list[str]) -> float:
    return (int(fields[11]) + int(fields[12])) / TICK


def _memory(pid: int, fields: list[str]) -> int:
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # another user's
    return int(fields[21]) * PAGE


def _descriptors(pid: int) -> int | None:
    try:
        return len(os.listdir(PROC / str(pid) / "fd"))
    except OSError:
        return None  # another user's


def _stat(pid: int) -> list[str]:
    """Return the fields of `stat` from the state on; none of a process that is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
