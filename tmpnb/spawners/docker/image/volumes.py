"""Bound what is written to the volumes that an image declares: no bound of a container counts it.

What lies in the home or /tmp is in memory then, as they are where the engine bounds no disk. Any
other volume keeps what the image has there, and is read-only. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from posixpath import normpath
from typing import Any

from tmpnb.spawners.docker.hardening.limits import TMP, Limits, is_within, places_in_memory
from tmpnb.spawners.docker.image.user import Person


@dataclass(frozen=True, slots=True)
class Placing:
    """What becomes of an image's volumes."""

    read_only: tuple[str, ...] = ()  # with what the image has there
    in_memory: tuple[str, ...] = ()  # empty at the start
    with_the_home: tuple[str, ...] = ()  # in memory, and filled as the home is


def declared(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the places of the volumes that an image's configuration names."""
    named = config.get("Volumes")
    places = named if isinstance(named, dict | list) else ()
    absolute = (normpath(place) for place in places if isinstance(place, str) and place[:1] == "/")
    return tuple(sorted({"/" + place.lstrip("/") for place in absolute}))


def placing(limits: Limits, person: Person, *, fills: bool = True) -> Placing:
    """Return what has to be mounted so that limits hold in the volumes of an image.

    Args:
        limits: In force.
        person: Who the server runs as, with the volumes of the image.
        fills: Whether a home in memory begins with what the image has there.
    """
    if not (limits.disk or limits.read_only):
        return Placing()
    written = (person.home, TMP)
    outside = [v for v in person.volumes if not any(is_within(v, place) for place in written)]
    memory = [
        place
        for place in places_in_memory(limits, person)
        if place in person.volumes or not limits.home_in_memory
    ]
    filled = [p for p in memory if fills and limits.home_in_memory and is_within(p, person.home)]
    return Placing(tuple(outside), tuple(p for p in memory if p not in filled), tuple(filled))


def in_words(placed: Placing) -> str:
    """Return in one line what becomes of an image's volumes; "" if nothing does."""
    parts = []
    if placed.read_only:
        parts.append(f"{_named(placed.read_only)} read-only")
    if placed.with_the_home:
        parts.append(f"{_named(placed.with_the_home)} in memory")
    if placed.in_memory:
        parts.append(f"{_named(placed.in_memory)} in memory, empty at the start")
    if not parts:
        return ""
    return f"the image's own volumes are bounded: {' and '.join(parts)}"


def _named(places: Iterable[str]) -> str:
    return ", ".join(places)
