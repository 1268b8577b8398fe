"""Links that cannot be decoded, and what was probably meant. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from tmpnb import links
from tmpnb.links import BadLinkError

_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_broken(path: str) -> bool:
    """Whether a path, as in the request line, is not percent-encoded UTF-8."""
    if _STRAY.search(path):
        return True
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return True
    return False


def mended(path: str, query: str = "") -> str:
    """Return a broken link with each stray percent sign of its path as the character itself.

    Returns:
        Empty if no notebook can be opened there, or if it is broken in another way.
    """
    meant = _STRAY.sub("%25", path)
    if not path.startswith("/") or path.startswith("//") or is_broken(meant):
        return ""
    try:
        return links.parse(meant, query).suffix
    except BadLinkError:
        return ""
