"""Texts of the operator's as paragraphs with links: nothing in them is ever HTML. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINK = re.compile(r"\[([^\[\]\n]+)\]\(([^()\s]*)\)")
_URL = re.compile(r"(https?://|mailto:|/(?!/))[A-Za-z0-9/._~!$&'*+,;=:@%?#\[\]-]*\Z")


class BadMarkupError(ValueError):
    """A text that cannot be shown; in words."""


class TooLongError(BadMarkupError):
    """It has more characters than there may be."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text, and where it leads if it is a link."""

    text: str
    url: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Whether it leads out of the service, which a frame would not survive."""
        return bool(self.url) and not self.url.startswith("/")


Paragraph = tuple[Piece, ...]
Text = tuple[Paragraph, ...]


def parse(source: str, longest: int) -> Text:
    """Return the paragraphs of a text, which empty lines part; `[words](https://…)` is a link.

    Args:
        source: As the operator wrote it; any markup other than links is shown as it stands.
        longest: Characters there may be.

    Raises:
        TooLongError: More than that.
        BadMarkupError: A control character, or a link that leads nowhere.
    """
    if len(source) > longest:
        raise TooLongError(f"{len(source)} characters are too many; {longest} may be")
    if any((ord(c) < 32 and c not in "\n\r\t") or ord(c) == 127 for c in source):
        raise BadMarkupError("there is a control character in it")
    lines = "\n".join(source.splitlines())
    parts = re.split(r"\n[ \t]*(?:\n[ \t]*)+", lines.strip())
    return tuple(_paragraph(part.strip()) for part in parts if part.strip())


def _paragraph(source: str) -> Paragraph:
    pieces, end = [], 0
    for found in _LINK.finditer(source):
        words, url = found.groups()
        if not _URL.match(url):
            raise BadMarkupError(
                f"the link {url!r} must begin with https://, http://, mailto: or / "
                "and have its special characters percent-encoded"
            )
        if found.start() > end:
            pieces.append(Piece(source[end : found.start()]))
        pieces.append(Piece(words, url))
        end = found.end()
    if end < len(source):
        pieces.append(Piece(source[end:]))
    return tuple(pieces)
