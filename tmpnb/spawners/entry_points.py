"""Engines by name: the entry points of the group `tmpnb.spawners`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from tmpnb.errors import ConfigError
from tmpnb.spawners.base import ServerSpec, Spawner

__all__ = ["ServerSpec", "Spawner", "spawner_class", "spawner_names"]

GROUP = "tmpnb.spawners"


@cache
def _entries() -> dict[str, EntryPoint]:
    """Return all by name, read once: it takes the files of every package that is installed."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def spawner_names() -> list[str]:
    """Return the names that `--spawner` takes."""
    return sorted(_entries())


def spawner_class(name: str) -> type[Spawner]:
    """Return the spawner registered as `name`.

    Raises:
        ConfigError: No such name, or the module behind it cannot be imported.
    """
    found = _entries()
    if name not in found:
        raise ConfigError(f"--spawner={name}: no such spawner; choose from {sorted(found)}")
    try:
        loaded = found[name].load()
    except ImportError as error:
        raise ConfigError(
            f"--spawner={name} needs a package that is missing ({error}); "
            f"install it with: pip install 'tmpnb[{name}]'"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Spawner)):
        raise ConfigError(f"--spawner={name}: {found[name].value} is not a Spawner")
    return loaded
