"""What of a server nothing bounds, each in a line with what sets the bound. Pure."""

from __future__ import annotations

from tmpnb.spawners.docker.hardening.limits import may_bound_disk
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker_api.kind import Facts
from tmpnb.spawners.finding import Finding, ok, warn
from tmpnb.system.units import in_words

TOPIC = "bounds"
QUOTAS = "keep the engine's data on xfs mounted with pquota, or on zfs"
# Settings of `extra_host_config` that bound the same.
CPU = ("cpu_quota", "nano_cpus", "cpuset_cpus")


def unbounded(options: Options) -> list[Finding]:
    """Return what a server may use up, as far as the settings say."""
    limits, theirs = options.limits, options.extra_host_config
    found = []
    if not limits.memory:
        found.append(warn(TOPIC, "memory is not bounded", "--mem-limit=512m"))
    if not (options.cpu_quota or any(theirs.get(name) for name in CPU)):
        found.append(
            warn(
                TOPIC,
                "processors are shared evenly, and not bounded: one server may use all that"
                " others leave",
                "--cpu-quota=100000 for one processor each",
            )
        )
    if not (limits.processes or theirs.get("pids_limit")):
        found.append(warn(TOPIC, "processes are not bounded", "--pids-limit=1024"))
    if not (limits.open_files or theirs.get("ulimits")):
        found.append(warn(TOPIC, "open files are not bounded", "--nofile-limit=4096"))
    if not (limits.log_size or theirs.get("log_config")):
        words = "what servers print is kept as the engine's own logging does, mostly without bound"
        found.append(warn(TOPIC, words, "--container-log-size=1m"))
    return found + _disk(options)


def _disk(options: Options) -> list[Finding]:
    limits, theirs = options.limits, options.extra_host_config
    if limits.home_in_memory or theirs.get("storage_opt"):
        return []
    if not limits.disk:
        words = "neither disk nor inodes are bounded: a server may fill the engine's"
        return [warn(TOPIC, words, "--disk-limit=256m")]
    found = [
        warn(
            TOPIC,
            "inodes are not bounded: the storage bounds the size of files, and not their number",
            "--read-only beside --disk-limit, which has files in memory",
        )
    ]
    if limits.root_allowed and not (limits.read_only or theirs.get("read_only")):
        words = "root in a server may fill the disk by /etc/hosts, which the storage does not count"
        found.append(warn(TOPIC, words, "--container-user=1000, or --read-only"))
    return found


def home_finding(about: Facts, options: Options, *, tried: bool = False) -> Finding | None:
    """Say where a server's files are, and how much of them there may be; None without a bound.

    Args:
        about: What the engine says of itself.
        options: Fitted to it.
        tried: Whether they say what its storage has proved to bound, and not only what it may.
    """
    limits, topic = options.limits, "home"
    if not limits.disk:
        return None
    storage = about.get("Driver") or "unknown"
    by_engine = limits.disk_by_engine if tried else may_bound_disk(about)
    if by_engine and not limits.read_only:
        words = f"the storage ({storage}) bounds the disk of a server to {in_words(limits.disk)}"
        return ok(topic, words if tried else f"{words} if it has quotas, else its memory does")
    words = (
        f"home and /tmp of a server are in memory, {in_words(limits.files)} together, and the rest"
        " is read-only"
    )
    if not limits.read_only:
        words += f", as the storage ({storage}) bounds no disk; to have files on disk, {QUOTAS}"
    if not limits.memory:
        return warn(topic, f"{words}; that memory is not bounded", "--mem-limit=512m")
    if limits.files < limits.disk:
        more = f"{in_words(limits.disk)} of --disk-limit is more than half of --mem-limit"
        return warn(topic, f"{words}; {more}", "raise --mem-limit, or lower --disk-limit")
    return ok(topic, words)
