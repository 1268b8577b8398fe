"""Who the servers of an image run as: user and group by number, and the home. Pure.

A name means what the image's own /etc/passwd says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import normpath

SOMEWHERE = "/home"  # of those who have no home
# What the engine reads as a number, and leaves out around a line. Python takes more for either.
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_BLANKS = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and not "\x1c" <= c <= "\x1f")
_NO_TEXT = re.compile("[\ud800-\udfff]")  # bytes that were none


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
    """Return the lines of a passwd file as the engine reads them: what is no number is 0.

    Args:
        text: Of the file; bytes that are no text as surrogates.
    """
    found = []
    for line in text.split("\n"):
        if kept := line.strip(_BLANKS):
            name, _, user_id, group_id, _, home, *_ = [*kept.split(":"), *[""] * 6]
            found.append(Entry(name, _number(user_id) or 0, _number(group_id) or 0, home))
    return found


def person(user: str, environment: Iterable[str], passwd: Iterable[Entry]) -> Person:
    """Return who a container runs as, by the rules of the engine.

    Args:
        user: Of the image or the container: "", "root", "1000", "jovyan:users", "0:0".
        environment: Of the image, as NAME=value.
        passwd: What the image's own file has; nothing if it could not be read.
    """
    name, _, group = user.partition(":")
    number = 0 if name in ("", "root") else _number(name)
    known = next(
        (one for one in passwd if one.name == name or one.user_id == number),
        None,
    )
    if number is None:
        number = known.user_id if known else None
    group_id = (
        (0 if group == "root" else _number(group)) if group else (known.group_id if known else None)
    )
    values = dict(entry.partition("=")[::2] for entry in environment)
    home = values.get("HOME") or (known.home if known else "")
    place = normpath(f"/{home.strip('/')}")
    usable = home.startswith("/") and place != "/" and not {":", ","} & set(home)
    usable = usable and not _NO_TEXT.search(home)
    return Person(number, group_id, place if usable else SOMEWHERE)


def _number(text: str) -> int | None:
    """Return the number that the engine reads, 0 for 00 and +0 too; None of a name."""
    return int(text) if _NUMBER.fullmatch(text) else None
