"""What a process holds at one moment, and what of it has grown at another."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.common.gauges import resident
from benchmarks.soak import held


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds at a moment when nothing is under way."""

    servers: int  # that have come and gone
    memory: int  # bytes, resident
    blocks: int  # of memory, that Python has given out
    tasks: int
    files: int  # open
    threads: int
    held: dict[str, int]  # sizes of collections

    def line(self) -> str:
        """Return it for people."""
        return (
            f"{self.servers:7,d} servers  {self.memory / 1e6:6.1f} MB  {self.blocks:8,d} blocks"
            f"  {self.tasks:3d} tasks  {self.files:3d} files  {self.threads:3d} threads"
            f"  {sum(self.held.values()):7,d} elements in {len(self.held)} collections"
        )


def take(servers: int, roots: Mapping[str, object]) -> Sample:
    """Read everything.

    Args:
        servers: That have come and gone so far.
        roots: Where to look for what is held, by name.
    """
    sizes = held.sizes(roots)  # first, as to look makes objects unfold their attributes
    gc.collect()
    return Sample(
        servers,
        resident(),
        sys.getallocatedblocks(),
        len(asyncio.all_tasks()),
        len(os.listdir("/proc/self/fd")),
        threading.active_count(),
        sizes,
    )


def growth(first: Sample, last: Sample) -> list[str]:
    """Return what has grown more than chance explains."""
    more = last.servers - first.servers
    limits = {
        "memory, bytes": (first.memory, last.memory, 6e6),
        "memory, blocks": (first.blocks, last.blocks, 500 + 0.1 * more),
        "tasks": (first.tasks, last.tasks, 3),
        "open files": (first.files, last.files, 5),
        "threads": (first.threads, last.threads, 2),
    }
    for path in first.held.keys() | last.held.keys():
        before = first.held.get(path, 0)
        limits[path] = (before, last.held.get(path, 0), 20 + 0.1 * before)
    return [
        f"{what} from {before:,d} to {after:,d}"
        for what, (before, after, chance) in limits.items()
        if after - before > chance
    ]
