"""Processes as Linux knows them in /proc: tell them apart, find their kin, end them.

A pid alone names nothing, since it is used again: a process is known by its pid and
the moment it was born.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")
KILL_WAIT = 1.0  # seconds for a killed process to be gone, before the next look
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25  # seconds between looks at processes that should end


@dataclass(frozen=True, slots=True)
class Process:
    """One process, of this boot or an earlier one."""

    pid: int
    born: str  # id of the boot, and clock ticks since then


@dataclass(frozen=True, slots=True)
class _Entry:
    process: Process
    parent: int  # pid
    session: int  # pid of its leader
    ticks: int  # of CPU time, its own and that of children it has waited for
    pages: int  # of memory


def find(pid: int) -> Process | None:
    """Return the process that runs under `pid` now; None if there is none, or only a zombie."""
    entry = _read(pid)
    return entry.process if entry else None


def is_running(process: Process) -> bool:
    """Return whether exactly this process still runs; a zombie does not."""
    return find(process.pid) == process


def marked(variable: str) -> set[Process]:
    """Return the processes that were started with `variable`, `NAME=value`, in their environment.

    Those of other users are left out.
    """
    wanted = variable.encode()
    found = set()
    for entry in _all():
        with suppress(OSError):  # another user's, or gone by now
            environment = (PROC / str(entry.process.pid) / "environ").read_bytes()
            if wanted in environment.split(b"\0"):
                found.add(entry.process)
    return found


def cpu_seconds(roots: set[Process]) -> float:
    """Return the CPU seconds that these processes and their kin have used since their start.

    What ended without its parent waiting for it counts no more, so this may become less.
    """
    return used(roots)[0]


def used(roots: set[Process]) -> tuple[float, int]:
    """Return the CPU seconds of these processes and their kin, and the bytes of memory they have.

    Memory that several of them share counts for each.
    """
    kin = _kin(set(), lambda: roots, set())
    seconds = sum(entry.ticks for entry in kin) / _ticks_a_second()
    return seconds, sum(entry.pages for entry in kin) * os.sysconf("SC_PAGE_SIZE")


def send(process: Process, number: signal.Signals) -> None:
    """Signal exactly this process; nothing happens if it is gone or not ours to signal."""
    if is_running(process):  # its pid would have to come round again before the next line
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


async def end(roots: Callable[[], set[Process]], *, grace: float, patience: float) -> set[Process]:
    """End what `roots` finds and its kin: SIGTERM, then SIGKILL. Return what is left.

    Kin is what descends from them or shares their session, but never this process, its
    session, or init. Looks again until nothing is found, so a child that is born
    meanwhile ends as well.

    Args:
        roots: Called in a thread, once or more.
        grace: Seconds between the two signals.
        patience: Seconds after which it gives up.
    """
    deadline = asyncio.get_running_loop().time() + patience
    number, wait = signal.SIGTERM, grace
    known: set[Process] = set()
    sessions: set[int] = set()  # of all that was seen: they outlive their leaders
    while True:
        found = await asyncio.to_thread(_kin, known, roots, sessions)
        known = {entry.process for entry in found}
        sessions |= {entry.session for entry in found}
        if not known or asyncio.get_running_loop().time() > deadline:
            return known
        for process in known:
            send(process, number)
        await _until_gone(known, wait)
        number, wait = signal.SIGKILL, KILL_WAIT


async def _until_gone(processes: set[Process], seconds: float) -> None:
    pause = FIRST_PAUSE
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while any(map(is_running, processes)):
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)


def _kin(
    known: set[Process], roots: Callable[[], set[Process]], sessions: set[int]
) -> list[_Entry]:
    """Return the running ones of `known` and `roots`, their descendants and their sessions.

    Args:
        known: Those seen before.
        roots: Finds where to begin.
        sessions: Those seen before, by pid of a leader that may be gone.
    """
    wanted = known | roots()
    own_session = os.getsid(0)
    entries = {entry.process.pid: entry for entry in _all() if entry.session != own_session}
    found = {pid: entry for pid, entry in entries.items() if entry.process in wanted}
    orphaned = {session for session in sessions if session not in entries}
    before = -1
    while len(found) > before:  # ends: it grows each time, and not beyond `entries`
        before = len(found)
        kept = orphaned.union(entry.session for entry in found.values()) - {0}  # 0: led elsewhere
        for pid, entry in entries.items():
            if entry.parent in found or entry.session in kept:
                found[pid] = entry
    return [entry for pid, entry in found.items() if pid not in (1, os.getpid())]


def _all() -> list[_Entry]:
    pids = [int(name) for name in os.listdir(PROC) if name.isdecimal()]
    return [entry for pid in pids if (entry := _read(pid))]


def _read(pid: int) -> _Entry | None:
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None  # gone
    fields = stat.rpartition(")")[2].split()  # what precedes may hold any character
    # Its first thread may be dead while others still end, and hold its files and its ports.
    if fields[0] in ("Z", "X") and int(fields[17]) <= 1:
        return None
    process = Process(pid, born=f"{_boot_id()}/{fields[19]}")
    ticks = sum(int(field) for field in fields[11:15])
    parent, session, pages = int(fields[1]), int(fields[3]), int(fields[21])
    return _Entry(process, parent=parent, session=session, ticks=ticks, pages=pages)


@cache
def _ticks_a_second() -> int:
    return os.sysconf("SC_CLK_TCK")


@cache
def _boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()
