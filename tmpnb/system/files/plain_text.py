"""Take the bytes of a file for text in UTF-8, as editors save it, or say what they are. Pure."""

from __future__ import annotations

import codecs
import errno

# How the text of some editors begins; UTF-32 goes first, as UTF-16 begins in the same way.
_OTHERS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class NoTextError(OSError):
    """What is in a file is not text in UTF-8; with `strerror` in words that quote nothing of it."""


def refuse_others(content: bytes) -> None:
    """Refuse text that begins with the mark of another encoding.

    Raises:
        NoTextError: It does.
    """
    for mark, encoding in _OTHERS.items():
        if content.startswith(mark):
            raise NoTextError(errno.EILSEQ, f"it is in {encoding}; save it as UTF-8")


def decoded(content: bytes) -> str:
    """Return the text, without the byte order mark that some editors begin UTF-8 with.

    Raises:
        NoTextError: It is none.
    """
    refuse_others(content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NoTextError(errno.EILSEQ, "it is no text in UTF-8; save it as UTF-8") from None
