"""Read JSON that somebody else wrote, who may mean ill. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

MOST_VALUES = 50_000  # about 50 ms of the loop; no other thread runs meanwhile either

_HALF = re.compile(r"\\u[dD][89a-fA-F]", re.ASCII)  # may be half a character
_LONG = re.compile(r"(?<![0-9])[0-9]{1000,}")  # Python refuses to read what is much longer


class TooManyValuesError(ValueError):
    """A text would take too long to read."""


def loads(
    source: bytes, *, lenient: bool = False, most: int = MOST_VALUES, fractions: bool = True
) -> Any:
    """Return the value of a text in UTF-8, whose strings can be written as UTF-8 again.

    Args:
        source: The text.
        lenient: Whether one odd value may not cost all others, as in a list of files. What
            is half a character, or no UTF-8, stays in strings as Python has it in file
            names. A number that is none is None, and one of a thousand digits is 0.
        most: Values that it may have, counted by the characters `[`, `{` and `,`.
        fractions: Whether numbers with a fraction or an exponent are wanted; if not, a lenient
            reader has 0 for them, for some take long to read.

    Raises:
        TooManyValuesError: It has more; nothing of it was read.
        ValueError: It is no JSON, nested too deeply, or has half a character in a string,
            which would break whatever it is put into.
    """
    if sum(source.count(mark) for mark in (b"[", b"{", b",")) > most:
        raise TooManyValuesError(f"more than {most} values")
    try:
        if lenient:
            text = source.decode("utf-8-sig", "surrogateescape")
            fraction = float if fractions else _zero
            text = _LONG.sub("0", text)
            return json.loads(text, parse_constant=_nothing, parse_float=fraction)
        text = source.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _nothing(_: str) -> None:
    return None


def _zero(_: str) -> float:
    return 0.0
