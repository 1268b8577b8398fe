"""What bounds a visitor's container, as the engine's settings, and what of it holds here. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.hardening.seccomp import Seccomp
from tmpnb.spawners.docker.image.user import Person

DEFAULT = "default"  # of `capabilities`: the engine's own set
LOG_FILES = "2"  # of each container, the older of which goes
TMP = "/tmp"  # noqa: S108 - in a container of its own
EVERYBODYS = "mode=1777"  # of a tmpfs
PAGE = 4096  # bytes: the least that a file in memory takes, so there is an inode for each
FEWEST = 16  # inodes of a tmpfs
OWN_KERNELS = ("runsc", "gvisor", "kata")  # in the names of runtimes
SOCKETS = (
    "memory of sockets is not bounded: cgroup v1 does not count it; have cgroup v2 on the engine's"
    " machine (boot it with systemd.unified_cgroup_hierarchy=1)"
)
PODMANS_OWNER = "U,notmpcopyup"  # who runs the container; and empty at the start, as in Docker


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may, beyond memory and CPU."""

    capabilities: tuple[str, ...] = ()  # kept; (DEFAULT,): those the engine gives
    new_privileges: bool = False  # whether setuid programs work
    seccomp: Seccomp = field(default_factory=Seccomp)
    processes: int = 1024  # and threads; 0: no limit
    open_files: int = 4096  # of one process; 0: the engine's own
    log_size: str = "1m"  # of each of LOG_FILES; "": the engine's own logging
    init: bool = True
    root_allowed: bool = False
    read_only: bool = False
    runtime: str = ""  # "": the engine's own
    disk: int = 0  # bytes a server may write; 0: no limit
    disk_by_engine: bool = False  # whether the engine can bound what a container writes
    memory: int = 0  # bytes of a server, files in memory included; 0: no limit

    @property
    def home_in_memory(self) -> bool:
        """Whether the home is a tmpfs, for want of another bound on the disk."""
        return bool(self.disk) and not (self.disk_by_engine and not self.read_only)

    @property
    def files(self) -> int:
        """Bytes of files that may be in memory together, if the disk is bounded.

        Half of the memory at most: more, and files would end the kernels, which could not
        remove them any more.
        """
        return min(self.disk, self.memory // 2) if self.memory else self.disk


def capabilities(text: str) -> tuple[str, ...]:
    """Return the names in `CHOWN,cap_net_raw`, in Docker's form; "default" stands alone.

    Raises:
        ConfigError: One cannot be a capability.
    """
    names = [entry.strip().upper().removeprefix("CAP_") for entry in text.split(",")]
    found = tuple(name for name in names if name)
    if DEFAULT.upper() in found:
        if len(found) > 1:
            raise ConfigError(f"--capabilities={text}: write default, or names, not both")
        return (DEFAULT,)
    for name in found:
        if not name.replace("_", "").isalpha():
            raise ConfigError(f"--capabilities={text}: {name!r} is none; write for example CHOWN")
    return found


def settings(limits: Limits, person: Person, *, podman: bool = False) -> dict[str, Any]:
    """Return keywords of docker-py's `create_host_config`, without the mounts.

    Args:
        limits: In force.
        person: Who the server runs as.
        podman: Whether the engine is Podman, which has a word of its own for a tmpfs's owner.
    """
    found: dict[str, Any] = {
        "init": limits.init,  # reaps what the visitor leaves behind, and passes signals on
        "security_opt": ([] if limits.new_privileges else ["no-new-privileges"])
        + limits.seccomp.options,
        # A visitor's server whose machine or engine restarts, or which runs out of memory,
        # comes back with its files. One that was never given out is replaced all the same.
        # Not `unless-stopped`: an engine that crashed takes its own clean-up for a wish.
        "restart_policy": {"Name": "always"},
    }
    if limits.capabilities != (DEFAULT,):
        found |= {"cap_drop": ["ALL"], "cap_add": list(limits.capabilities)}
    if limits.processes:  # a fork bomb ends with its own container
        found["pids_limit"] = limits.processes
    # No program of the machine that collects dumps shall keep those of visitors.
    found["ulimits"] = [{"Name": "core", "Soft": 0, "Hard": 0}]
    if limits.open_files:
        both = limits.open_files
        found["ulimits"].append({"Name": "nofile", "Soft": both, "Hard": both})
    if limits.log_size:
        bounds = {"max-size": limits.log_size, "max-file": LOG_FILES}
        found["log_config"] = {"Type": "json-file", "Config": bounds}
    if limits.runtime:
        found["runtime"] = limits.runtime
    return found | _disk(limits, person, podman=podman)


def _disk(limits: Limits, person: Person, *, podman: bool) -> dict[str, Any]:
    memory = {
        place: tmpfs_options(limits, person, place, podman=podman)
        for place in places_in_memory(limits, person)
    }
    if limits.read_only or limits.home_in_memory:
        memory.setdefault(TMP, EVERYBODYS)
        return {"read_only": True, "tmpfs": memory}
    bound = {"storage_opt": {"size": str(limits.disk)}} if limits.disk else {}
    return bound | ({"tmpfs": memory} if memory else {})


def places_in_memory(limits: Limits, person: Person) -> tuple[str, ...]:
    """Return what of a server is in memory so that what it writes is bounded, in order.

    Volumes that the image declares are bounded by nothing else.
    """
    if not limits.disk:
        return ()
    written = (person.home, TMP)
    found = {v for v in person.volumes if any(is_within(v, place) for place in written)}
    read_only = set(person.volumes) - found
    if limits.home_in_memory:
        found |= set(written)
    elif any(is_within(person.home, volume) for volume in read_only):
        found.add(person.home)  # or it would be read-only with what is around it
    return tuple(sorted(found))


def is_within(place: str, folder: str) -> bool:
    """Whether a path is a folder or below it."""
    return place == folder or place.startswith(folder.rstrip("/") + "/")


def share(limits: Limits, person: Person) -> int:
    """Return the bytes of files that fit into each of the places in memory: equal parts."""
    places = len(places_in_memory(limits, person)) or 1
    return max(PAGE, limits.files // places // PAGE * PAGE)  # 0 would mean no bound


def tmpfs_options(limits: Limits, person: Person, place: str, *, podman: bool = False) -> str:
    """Return the options of one of the `places_in_memory`: bounded in bytes and in inodes.

    Podman takes no number of inodes; what they need counts as the server's memory.
    """
    bytes_of_files = share(limits, person)
    bounds = f"size={bytes_of_files}"
    if not podman:
        bounds += f",nr_inodes={max(bytes_of_files // PAGE, FEWEST)}"
    if place == TMP:
        return f"{EVERYBODYS},{bounds}"
    return f"{PODMANS_OWNER if podman else _owner(person)},exec,{bounds}"


def home_volume(limits: Limits, person: Person) -> str | None:
    """Return where an anonymous volume belongs, so that a read-only server has a home.

    A volume and not a tmpfs: it begins with what the image has there, does not count as
    memory, and outlives a restart of the container.
    """
    return person.home if limits.read_only and not limits.home_in_memory else None


def _owner(person: Person) -> str:
    if person.user_id is None:
        return EVERYBODYS
    return f"uid={person.user_id},gid={person.group_id or 0},mode=755"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a setting asks of the engine. Sizes in bytes."""

    memory: int = 0
    cpu_quota: int | None = None
    cpu_shares: int | None = None
    processes: int = 0
    own_kernel: bool = False  # whether the runtime has one for each server


def has_own_kernel(runtime: str) -> bool:
    """Whether servers of a runtime share the machine's kernel for nothing that they do."""
    return any(name in runtime for name in OWN_KERNELS)


def gaps(about: Mapping[str, Any], wanted: Wanted) -> list[str]:
    """Return what the engine cannot enforce, each in one line. Nothing said is no gap.

    Args:
        about: What the engine says of itself.
        wanted: What the settings ask for.
    """
    asked = (
        ("MemoryLimit", wanted.memory, "memory is not bounded: the kernel's memory cgroup is off"),
        (
            "SwapLimit",
            wanted.memory,
            "swap is not bounded: boot the engine's machine with swapaccount=1",
        ),
        ("PidsLimit", wanted.processes, "processes are not bounded: the pids cgroup is off"),
        ("CpuCfsQuota", wanted.cpu_quota, "--cpu-quota has no effect: the kernel has no CFS quota"),
        ("CPUShares", wanted.cpu_shares, "--cpu-shares has no effect: the cpu cgroup is off"),
    )
    found = [words for name, wish, words in asked if wish and about.get(name) is False]
    counted = wanted.own_kernel or str(about.get("CgroupVersion") or "") != "1"
    if wanted.memory and not counted and about.get("MemoryLimit") is not False:
        found.append(SOCKETS)
    return found


def may_bound_disk(about: Mapping[str, Any]) -> bool:
    """Whether the engine's storage could bound what one container writes, as far as it tells.

    On btrfs and devicemapper its bound counts the image as well, so it is none for what is written.
    """
    driver = about.get("Driver")
    backing = dict(entry for entry in about.get("DriverStatus") or () if len(entry) == 2)
    if driver == "overlay2":  # and only if it is mounted with pquota, which nobody tells
        return backing.get("Backing Filesystem") == "xfs"
    return driver in ("zfs", "windowsfilter")
