"""Join the operator's own settings of a container with ours, and say what they weaken. Pure.

What is a list in the engine's API is added to, entry by entry. A setting takes the place of
ours only where it says something else about the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker_options import size

Settings = Mapping[str, Any]  # keywords of docker-py's `create_host_config`

NO_NEW_PRIVILEGES = "no-new-privileges"
_LOOSE = re.compile(r"(label[:=]disable|(seccomp|apparmor|systempaths)[:=]unconfined)")


def _subject(option: str) -> str:
    """Return what an entry of `security_opt` is about; of labels there may be several."""
    name = re.split(r"[:=]", option, maxsplit=1)[0]
    return option if name == "label" else name


# The lists, and what an entry is about: later ones take the place of those of the same subject.
_LISTS: Mapping[str, Callable[[Any], object]] = {
    "security_opt": _subject,
    "cap_add": str,
    "cap_drop": str,
    "ulimits": lambda limit: str(limit.get("Name") or limit.get("name")),
    "devices": str,
    "device_requests": str,
    "device_cgroup_rules": str,
    "group_add": str,
    "extra_hosts": str,
    "dns_search": str,
    "dns_opt": str,
    "volumes_from": str,
    "mounts": lambda mount: mount.get("Target"),
}
# By place or name. A list of them is of text: name, separator, value.
_TABLES = {"tmpfs": ":", "storage_opt": "=", "sysctls": "="}


def merged(ours: Settings, theirs: Settings) -> dict[str, Any]:
    """Return our settings with those of the operator.

    Raises:
        ConfigError: One is of the wrong type.
    """
    found = dict(ours)
    for name, value in theirs.items():
        if name in _LISTS or name in _TABLES:
            if value is not None:
                join = _joined_lists if name in _LISTS else _joined_tables
                found[name] = join(name, found.get(name), value)
        elif name == "port_bindings" and isinstance(value, Mapping):
            found[name] = {**value, **(found.get(name) or {})}
        else:
            found[name] = value
    return found


def _joined_lists(name: str, ours: Any, theirs: Any) -> list[Any]:
    if name == "extra_hosts" and isinstance(theirs, Mapping):
        theirs = [f"{host}:{address}" for host, address in theirs.items()]
    if not isinstance(theirs, list | tuple | set | frozenset):
        raise ConfigError(f"extra_host_config: {name}={theirs!r} must be a list")
    subject = _LISTS[name]
    try:
        found = {subject(entry): entry for entry in ours or ()}
        for entry in theirs:
            about = subject(entry)
            found.pop(about, None)  # so that it stands where the operator put it
            found[about] = entry
    except (AttributeError, TypeError) as error:
        raise ConfigError(f"extra_host_config: cannot read {name}={theirs!r}") from error
    return list(found.values())


def _joined_tables(name: str, ours: Any, theirs: Any) -> dict[str, Any]:
    found = {**_table(name, ours or {}), **_table(name, theirs)}
    if name == "tmpfs":
        return {path.rstrip("/") or path: options for path, options in found.items()}
    return found


def _table(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(key): entry for key, entry in value.items()}
    if not isinstance(value, list | tuple | set | frozenset):
        raise ConfigError(f"extra_host_config: {name}={value!r} must be a dict or a list")
    pairs = (str(entry).partition(_TABLES[name]) for entry in value)
    return {key: entry for key, _, entry in pairs}


def bound_places(binds: object) -> set[str]:
    """Return where in a container the operator's own `binds` are, in either of their forms."""
    places: list[object] = []
    if isinstance(binds, Mapping):
        places = [one.get("bind") if isinstance(one, Mapping) else one for one in binds.values()]
    elif isinstance(binds, list | tuple):
        places = [str(one).partition(":")[2].partition(":")[0] for one in binds]
    return {str(place).rstrip("/") for place in places}


def weakened(ours: Settings, theirs: Settings) -> list[str]:
    """Return which walls and bounds the operator's settings take away, each in a few words.

    Args:
        ours: Without them.
        theirs: The operator's.

    Raises:
        ConfigError: One is of the wrong type.
    """
    both = merged(ours, theirs)
    return [
        *_powers(ours, theirs, both),
        *_shared(ours, theirs),
        *_unbounded(ours, theirs, both),
    ]


def _powers(ours: Settings, theirs: Settings, both: Settings) -> list[str]:
    """Return what a server may do that it may not otherwise."""
    found = []
    if theirs.get("privileged"):
        found.append("privileged: a server owns the engine's machine")
    options = [str(option) for option in both.get("security_opt") or ()]
    kept = {NO_NEW_PRIVILEGES, f"{NO_NEW_PRIVILEGES}:true", f"{NO_NEW_PRIVILEGES}=true"}
    if ours.get("security_opt") and not kept & set(options):
        found.append("security_opt: programs may gain privileges")
    loose = [o for o in options if _LOOSE.match(o) and o not in (ours.get("security_opt") or ())]
    found += [f"security_opt: {option}" for option in loose]
    own = set(ours.get("cap_add") or ())
    more = [str(c) for c in both.get("cap_add") or () if c not in own]
    if more:
        found.append(f"cap_add: servers have {', '.join(more)}")
    if theirs.get("runtime", ours.get("runtime")) != ours.get("runtime"):
        found.append(f"runtime: {theirs['runtime']} in place of {ours.get('runtime') or 'ours'}")
    return found


def _shared(ours: Settings, theirs: Settings) -> list[str]:
    """Return what a server sees of the machine, or of other containers."""
    found = []
    for name in ("pid_mode", "ipc_mode", "uts_mode", "userns_mode", "cgroupns", "network_mode"):
        mode = str(theirs.get(name) or "")
        if mode == "host" or mode == "shareable" or mode.startswith("container:"):
            found.append(f"{name}: {mode}")
    found += [
        f"{name}: servers reach what is outside of their container"
        for name in ("devices", "device_requests", "device_cgroup_rules", "volumes_from", "binds")
        if theirs.get(name)
    ]
    if any(_is_bind(mount) for mount in theirs.get("mounts") or ()):
        found.append("mounts: servers reach directories of the engine's machine")
    if theirs.get("publish_all_ports") or theirs.get("port_bindings"):
        found.append("ports: servers are published besides the way through the proxy")
    if ours.get("dns") and theirs.get("dns"):
        found.append("dns: names are looked up outside")
    return found


def _is_bind(mount: object) -> bool:
    return isinstance(mount, Mapping) and mount.get("Type", mount.get("type")) == "bind"


def _unbounded(ours: Settings, theirs: Settings, both: Settings) -> list[str]:
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
    limits = {str(one.get("Name")): one for one in ours.get("ulimits") or ()}
    for limit in both.get("ulimits") or ():
        own = limits.get(str(limit.get("Name") or limit.get("name")))
        if own and _is_looser(limit.get("Hard", limit.get("hard")), own["Hard"]):
            found.append(f"ulimits: {own['Name']} is {limit.get('Hard', limit.get('hard'))!r}")
    sizes = [str(options) for options in (ours.get("tmpfs") or {}).values()]
    if any("size=" in options for options in sizes):
        table = both.get("tmpfs") or {}
        unbound = [path for path, options in table.items() if "size=" not in str(options)]
        found += [f"tmpfs: {path} has no size" for path in unbound]
    return found


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
