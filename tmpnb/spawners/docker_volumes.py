"""Bound what is written to the volumes that an image declares: no bound of a container counts it.

What lies in the home or /tmp is in memory then, as they are where the engine bounds no disk. Any
other volume keeps what the image has there, and is read-only. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from posixpath import normpath
from typing import Any

from tmpnb.spawners.docker_hardening import TMP, Limits, home_volume, tmpfs_options
from tmpnb.spawners.docker_person import Person


@dataclass(frozen=True, slots=True)
class Placing:
    """What is mounted over an image's volumes."""

    read_only: tuple[str, ...] = ()  # volumes with what the image has there
    in_memory: Mapping[str, str] = field(default_factory=dict)  # options of a tmpfs, by place


def declared(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the places of the volumes that an image's configuration names."""
    named = config.get("Volumes")
    places = named if isinstance(named, dict | list) else ()
    absolute = (normpath(place) for place in places if isinstance(place, str) and place[:1] == "/")
    return tuple(sorted({"/" + place.lstrip("/") for place in absolute}))


def placing(limits: Limits, person: Person, *, podman: bool = False) -> Placing:
    """Return what has to be mounted so that limits hold in the volumes of an image.

    Args:
        limits: In force.
        person: Who the server runs as, with the volumes of the image.
        podman: Whether the engine is Podman.
    """
    if not (limits.disk or limits.read_only):
        return Placing()
    written = (person.home, TMP)
    memory = {v for v in person.volumes if any(_is_within(v, place) for place in written)}
    read_only = [v for v in person.volumes if v not in memory]
    if not limits.disk:  # what may be written to may be a volume as well
        memory = set()
    elif any(_is_within(person.home, volume) for volume in read_only):
        memory.add(person.home)  # or it would be read-only with what is around it
    taken = home_volume(limits, person)
    options = {
        place: tmpfs_options(limits, person, place, podman=podman) for place in sorted(memory)
    }
    return Placing(tuple(v for v in read_only if v != taken), options)


def in_words(placed: Placing) -> str:
    """Return in one line what becomes of an image's volumes; "" if nothing does."""
    parts = []
    if placed.read_only:
        parts.append(f"{_named(placed.read_only)} read-only")
    if placed.in_memory:
        parts.append(f"{_named(placed.in_memory)} in memory, empty at the start")
    if not parts:
        return ""
    return f"the image's own volumes are bounded: {' and '.join(parts)}"


def _named(places: Iterable[str]) -> str:
    return ", ".join(places)


def _is_within(place: str, folder: str) -> bool:
    return place == folder or place.startswith(folder.rstrip("/") + "/")
