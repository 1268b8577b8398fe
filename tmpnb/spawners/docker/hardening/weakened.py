"""Which walls and bounds the operator's own settings of a container take away, in words. Pure.

What is not known to be harmless is said: a setting that weakens nothing costs a line of the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.options import size
from tmpnb.system.logs.redaction import on_one_line

Settings = Mapping[str, Any]  # keywords of docker-py's `create_host_config`

NO_NEW_PRIVILEGES = "no-new-privileges"
LONGEST = 60  # characters of a setting that are shown; a profile of seccomp is a whole file
PRIORITY = frozenset(["rtprio", "nice"])  # limits that let a server go before all others
LOOSE_TMPFS = frozenset(["suid", "dev"])  # an engine sets neither
OWN_MODES = frozenset(
    ["", "default", "private", "none", "auto", "nomap"]
)  # of what a container may share


def subject(option: str) -> str:
    """Return what an entry of `security_opt` is about; of labels there may be several."""
    name = re.split(r"[:=]", option, maxsplit=1)[0]
    return option if name == "label" else name


def powers(ours: Settings, theirs: Settings, both: Settings) -> list[str]:
    """Return what a server may do that it may not otherwise."""
    found = []
    if theirs.get("privileged"):
        found.append("privileged: a server owns the engine's machine")
    options = [str(option) for option in both.get("security_opt") or ()]
    own_options = [str(option) for option in ours.get("security_opt") or ()]
    kept = {NO_NEW_PRIVILEGES, f"{NO_NEW_PRIVILEGES}:true", f"{NO_NEW_PRIVILEGES}=true"}
    if kept & set(own_options) and not kept & set(options):
        found.append("security_opt: programs may gain privileges")
    found += [
        f"security_opt: {cut(option)}"
        for option in options
        if option not in own_options and subject(option) != NO_NEW_PRIVILEGES
    ]
    own = set(ours.get("cap_add") or ())
    more = [str(c) for c in both.get("cap_add") or () if c not in own]
    if more:
        found.append(f"cap_add: servers have {', '.join(more)}")
    if theirs.get("runtime", ours.get("runtime")) != ours.get("runtime"):
        found.append(f"runtime: {theirs['runtime']} in place of {ours.get('runtime') or 'ours'}")
    if groups := theirs.get("group_add"):
        found.append(f"group_add: servers are in the groups {', '.join(map(str, groups))}")
    return found


def shared(ours: Settings, theirs: Settings) -> list[str]:
    """Return what a server sees of the machine, or of other containers."""
    found = []
    for name in ("pid_mode", "ipc_mode", "uts_mode", "userns_mode", "cgroupns", "network_mode"):
        mode = str(theirs.get(name) or "")
        if mode not in OWN_MODES:
            found.append(f"{name}: {cut(mode)}")
    found += [
        f"{name}: servers reach what is outside of their container"
        for name in (
            "devices",
            "device_requests",
            "device_cgroup_rules",
            "volumes_from",
            "binds",
            "links",
        )
        if theirs.get(name)
    ]
    kinds = {_kind(mount) for mount in theirs.get("mounts") or ()}
    if "bind" in kinds:
        found.append("mounts: servers reach directories of the engine's machine")
    if kinds - {"bind", "tmpfs"}:
        found.append("mounts: servers share volumes, or fill them without a bound")
    if theirs.get("volume_driver"):
        found.append(f"volume_driver: {theirs['volume_driver']} keeps the volumes of servers")
    if theirs.get("publish_all_ports") or theirs.get("port_bindings"):
        found.append("ports: servers are published besides the way through the proxy")
    if ours.get("dns") and theirs.get("dns"):
        found.append("dns: names are looked up outside")
    return found


def _kind(mount: Mapping[str, Any]) -> str:
    return str(mount.get("Type") or mount.get("type") or "volume")


def cut(text: str) -> str:
    """Return a setting on one line, and no more of it than tells which it is."""
    line = on_one_line(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def unbounded(ours: Settings, theirs: Settings, both: Settings) -> list[str]:
    """Return what a server may use more of."""
    found = [
        f"{name}: {theirs[name]!r} in place of {ours[name]!r}"
        for name in ("pids_limit", "mem_limit", "memswap_limit", "read_only", "init")
        if name in ours and name in theirs and _is_looser(theirs[name], ours[name])
    ]
    found += [
        f"{name}: {both[name]!r} in place of {ours[name]!r}"
        for name in ("restart_policy", "log_config", "storage_opt")
        if ours.get(name) and both[name] != ours[name]
    ]
    if theirs.get("oom_kill_disable"):
        found.append("oom_kill_disable: a server without memory hangs")
    if _number(theirs.get("oom_score_adj")) < 0:
        found.append("oom_score_adj: without memory the machine ends other programs first")
    if theirs.get("cgroup_parent"):
        found.append(f"cgroup_parent: servers are counted in {cut(str(theirs['cgroup_parent']))}")
    if theirs.get("cpu_rt_runtime"):
        found.append("cpu_rt_runtime: servers may go before all other programs")
    if theirs.get("auto_remove"):
        found.append("auto_remove: a server that falls is removed with its files")
    return [*found, *_process_limits(ours, theirs), *_memory_files(ours, theirs, both)]


def _process_limits(ours: Settings, theirs: Settings) -> list[str]:
    own = {_name(limit): limit for limit in ours.get("ulimits") or ()}
    found = []
    for limit in theirs.get("ulimits") or ():
        name, hard = _name(limit), limit.get("Hard", limit.get("hard"))
        is_looser = name in own and _is_looser(hard, own[name]["Hard"])
        if is_looser or (name in PRIORITY and hard):
            found.append(f"ulimits: {name} is {hard!r}")
    return found


def _name(limit: Mapping[str, Any]) -> str:
    return str(limit.get("Name") or limit.get("name")).lower()


def _memory_files(ours: Settings, theirs: Settings, both: Settings) -> list[str]:
    """Return which places in memory take more than the disk of a server, or let more happen."""
    own = [_size_of(options) for options in (ours.get("tmpfs") or {}).values()]
    disk = int((ours.get("storage_opt") or {}).get("size", 0))
    bound = max((one for one in own if isinstance(one, int)), default=disk)
    places = both.get("tmpfs") or {} if theirs.get("tmpfs") else {}
    asked = {place: _size_of(options) for place, options in places.items()}
    for mount in theirs.get("mounts") or ():
        if _kind(mount) == "tmpfs":
            options = mount.get("TmpfsOptions") or {}
            asked[str(mount.get("Target"))] = options.get("SizeBytes")
    if theirs.get("shm_size"):
        asked["/dev/shm"] = theirs["shm_size"]  # noqa: S108 - in a container of its own
    found = []
    for place, most in asked.items():
        if bound and most is None:
            found.append(f"tmpfs: {place} has no size")
        elif bound and _is_looser(most, bound):
            found.append(f"tmpfs: {place} has the size {most} in place of {bound}")
    for place, options in places.items():
        if loose := LOOSE_TMPFS & set(str(options).split(",")):
            found.append(f"tmpfs: {place} with {', '.join(sorted(loose))}")
    return found


def _size_of(options: object) -> int | str | None:
    """Return the size among the options of a tmpfs: bytes, or as it is if that is none."""
    said = [o.partition("=")[2] for o in str(options).split(",") if o.startswith("size=")]
    if not said:
        return None
    try:
        return size("", said[-1])  # the last one counts
    except ConfigError:
        return said[-1]


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def _is_looser(theirs: object, ours: object) -> bool:
    """Whether a bound lets more through; none, 0 and -1 are no bound."""
    if isinstance(theirs, str):
        try:
            theirs = size("", theirs)
        except ConfigError:
            return True
    if theirs == ours:
        return False
    if isinstance(ours, bool):
        return bool(ours) and not theirs
    if isinstance(theirs, int) and isinstance(ours, int):
        return theirs <= 0 or theirs > ours
    return True
