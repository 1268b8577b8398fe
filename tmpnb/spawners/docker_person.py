"""Who the servers of an image run as: user and group by number, and the home. Pure.

A name means what the image's own /etc/passwd says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import normpath

SOMEWHERE = "/home"  # of those who have no home


@dataclass(frozen=True, slots=True)
class Person:
    """A user of an image, and where it is at home. None: it cannot be told."""

    user_id: int | None
    group_id: int | None = None
    home: str = SOMEWHERE
    volumes: tuple[str, ...] = ()  # places that the image makes volumes of by itself


NOBODY = Person(None)  # of whom nothing is known


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a passwd file."""

    name: str
    user_id: int
    group_id: int
    home: str


def entries(text: str) -> list[Entry]:
    """Return the lines of a passwd file that can be read."""
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= 6 and fields[2].isdecimal() and fields[3].isdecimal():
            found.append(Entry(fields[0], int(fields[2]), int(fields[3]), fields[5]))
    return found


def person(user: str, environment: Iterable[str], passwd: Iterable[Entry]) -> Person:
    """Return who a container runs as, by the rules of the engine.

    Args:
        user: Of the image or the container: "", "root", "1000", "jovyan:users", "0:0".
        environment: Of the image, as NAME=value.
        passwd: What the image's own file has; nothing if it could not be read.
    """
    name, _, group = user.strip().partition(":")
    number = _number(name or "root")
    known = next(
        (one for one in passwd if one.name == name or one.user_id == number),
        None,
    )
    if number is None:
        number = known.user_id if known else None
    group_id = _number(group) if group else (known.group_id if known else None)
    values = dict(entry.partition("=")[::2] for entry in environment)
    home = values.get("HOME") or (known.home if known else "")
    place = normpath(f"/{home.strip('/')}")
    usable = home.startswith("/") and place != "/" and not {":", ","} & set(home)
    return Person(number, group_id, place if usable else SOMEWHERE)


def _number(text: str) -> int | None:
    """Return a user's number; that of root by name as well; None of any other name."""
    if text == "root":
        return 0
    try:
        return int(text)  # as the engine does: 00 and +0 are root too
    except ValueError:
        return None
