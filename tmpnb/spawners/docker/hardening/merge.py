"""Join the operator's own settings of a container with ours, and say what they weaken. Pure.

What is a list in the engine's API is added to, entry by entry. A setting takes the place of
ours only where it says something else about the same thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.hardening.weakened import (
    Settings,
    cut,
    powers,
    shared,
    subject,
    unbounded,
)
from tmpnb.spawners.docker.options import Mount

# The lists, and what an entry is about: later ones take the place of those of the same subject.
_LISTS: Mapping[str, Callable[[Any], object]] = {
    "security_opt": subject,
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
        raise ConfigError(f"extra_host_config: {name}={cut(repr(theirs))} must be a list")
    about_of = _LISTS[name]
    try:
        found = {about_of(entry): entry for entry in ours or ()}
        for entry in theirs:
            about = about_of(entry)
            found.pop(about, None)  # so that it stands where the operator put it
            found[about] = entry
    except (AttributeError, TypeError) as error:
        raise ConfigError(f"extra_host_config: cannot read {name}={cut(repr(theirs))}") from error
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
        raise ConfigError(f"extra_host_config: {name}={cut(repr(value))} must be a dict or a list")
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


def mounted_places(mounts: Iterable[Mount], theirs: Settings) -> set[str]:
    """Return where in a container the operator mounts something, besides a tmpfs."""
    places = {mount.target for mount in mounts} | bound_places(theirs.get("binds"))
    return places | {str(m.get("Target")).rstrip("/") for m in theirs.get("mounts") or ()}


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
        *powers(ours, theirs, both),
        *shared(ours, theirs),
        *unbounded(ours, theirs, both),
    ]
