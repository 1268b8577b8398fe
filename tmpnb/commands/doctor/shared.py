"""What all servers share of the engine's machine, and one can use up or go past its bounds by."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from tmpnb.commands.doctor.tables import KEEP
from tmpnb.spawners.egress import name_servers
from tmpnb.spawners.examination import Examination
from tmpnb.spawners.finding import Finding, ok, skip, warn

TOPIC, RESOLVER = "shared", "resolver"
SYSTEM = Path("/proc/sys")
TERMINALS, RESERVED = "kernel/pty/max", "kernel/pty/reserve"  # the second is in the first
MOST_TERMINALS = 1 << 20  # that the kernel can have
PIDS, THREADS = "kernel/pid_max", "kernel/threads-max"
WATCHERS = "fs/inotify/max_user_instances"
FEW = 8  # inotify instances that a notebook with some kernels and terminals may want


async def findings(examination: Examination, capacity: int) -> AsyncGenerator[Finding, None]:
    """Yield what of it a full pool could use up, and who is asked for names.

    Args:
        examination: Of the engine.
        capacity: Servers in all.
    """
    if not examination.is_here:
        return
    shares = examination.shares
    if shares.kernel:
        room = _room()
        yield terminals_finding(capacity, shares.open_files, room, _number(RESERVED) or 0)
        yield watchers_finding(capacity, _number(WATCHERS))
        if shares.processes:
            yield processes_finding(capacity, shares.processes, _number(PIDS), _number(THREADS))
    if shares.name_server and (finding := resolver_finding(name_servers.found())):
        yield finding


def terminals_finding(capacity: int, open_files: int, room: int | None, reserved: int) -> Finding:
    """Say whether a full pool can open all terminals of the machine. Pure.

    Args:
        capacity: Servers in all.
        open_files: Of one process; 0: there is no bound.
        room: Terminals that containers may open together; None: not for us to see.
        reserved: More of them, which are not for containers.
    """
    if room is None:
        return skip(TOPIC, "unknown: the number of the machine's terminals is not to be seen")
    if not open_files:
        words = f"one server may open all {room} terminals (ptys) of the machine"
        return warn(TOPIC, words, "--nofile-limit=4096")
    taken = capacity * open_files
    words = f"{capacity} servers of {open_files} open files may open {taken} terminals with one"
    words += f" process each, the machine has {room} for all containers"
    if taken > room:
        wanted = min(taken + reserved, MOST_TERMINALS)
        name = TERMINALS.replace("/", ".")
        return warn(TOPIC, words, f"{KEEP.format(name, wanted)}; or a smaller --nofile-limit")
    return ok(TOPIC, words)


def watchers_finding(capacity: int, most: int | None) -> Finding:
    """Say whether there are enough inotify instances for a full pool. Pure.

    Args:
        capacity: Servers in all.
        most: Instances of one user, as whom all servers run; None: not for us to see.
    """
    if most is None:
        return skip(TOPIC, "unknown: the number of inotify instances is not to be seen")
    wanted = capacity * FEW
    words = f"{capacity} servers run as one user, who may have {most} inotify instances, by which"
    words += f" programs watch files; {FEW} for each are {wanted}"
    if wanted > most:
        return warn(TOPIC, words, KEEP.format(WATCHERS.replace("/", "."), 2 * wanted))
    return ok(TOPIC, words)


def processes_finding(
    capacity: int, processes: int, pids: int | None, threads: int | None
) -> Finding:
    """Say whether a full pool can use up the machine's processes. Pure.

    Args:
        capacity: Servers in all.
        processes: Of one server, threads included.
        pids: Ids for them that the machine has; None: not for us to see.
        threads: That its kernel will have at a time; None: not for us to see.
    """
    if pids is None or threads is None:
        return skip(TOPIC, "unknown: the number of the machine's processes is not to be seen")
    taken = capacity * processes
    words = f"{capacity} servers of {processes} processes may have {taken}, the machine"
    words += f" {min(pids, threads)}"
    if taken < min(pids, threads):
        return ok(TOPIC, words)
    name = (PIDS if pids <= threads else THREADS).replace("/", ".")
    return warn(TOPIC, words, f"{KEEP.format(name, 2 * taken)}; or a smaller --pids-limit")


def resolver_finding(asked: name_servers.Resolvers) -> Finding | None:
    """Say who is asked for names in the servers' place; None if nobody is. Pure."""
    if not asked.by_engine:
        return None
    words = f"the machine's name server is on loopback ({', '.join(asked.by_engine)}), so the"
    words += " engine asks it for servers, as the machine: they read the names that it alone knows,"
    words += " and --connections bounds none of it"
    return warn(RESOLVER, words, name_servers.MEND)


def _room() -> int | None:
    most = _number(TERMINALS)
    return None if most is None else max(0, most - (_number(RESERVED) or 0))


def _number(name: str) -> int | None:
    try:
        return int((SYSTEM / name).read_text())
    except (OSError, ValueError):
        return None
