"""Read JSON that somebody else wrote, who may mean ill. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_HALF = re.compile(rb"\\u[dD][89a-fA-F]", re.ASCII)  # may be half a character


def loads(source: bytes, *, halves: bool = False) -> Any:
    """Return the value of a text in UTF-8, whose strings can be written as UTF-8 again.

    Args:
        source: The text.
        halves: Whether a string may have half a character, as the name of a file that is not
            UTF-8 has. Who lets it pass must mind what such a string is put into.

    Raises:
        ValueError: It is no JSON, nested too deeply, or has half a character in a string,
            which would break whatever it is put into.
    """
    try:
        value = json.loads(source, parse_constant=_refuse)
        if not halves and _HALF.search(source):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
