"""Logs that hold no secrets: tokens and queries never reach them."""

from __future__ import annotations

import logging
import re

_VALUE = r"[^\s\"'&<>]+"
_SECRET = re.compile(
    # token=…, token%3D…, "token": "…"
    rf"((?:token|secret_key)[\"']?[ \t]*(?:=|%3d|:(?=[ \t]*[\"']))[ \t]*[\"']?){_VALUE}"
    # Authorization: token …
    rf"|(authorization[\"']?[ \t]*[:=,][ \t]*b?[\"']?(?:token|bearer|basic)[ \t]+){_VALUE}"
    # token …, if it does not read like a word: digits in it, or very long
    r"|((?:token|bearer)[ \t:\"']+)(?:(?=[\w.~+/-]*\d)[\w.~+-][\w.~+/-]{7,}|[\w.~+-]{24,})=*"
    # our cookies, the passphrase of a form or a header
    rf"|((?:tmpnb-(?:session|visitor|pass|admin)[\w.-]*|passphrase)[ \t]*[=:][ \t]*[\"']?){_VALUE}"
    # a place in line, which belongs to who has its ticket
    r"|(/wait/)[\w-]{16,}"
    # what Tornado says of a header it cannot read, which may be any of these
    r"|(invalid header (?:name|value) b?)(?:'.*'|\".*\")",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return `text` without the tokens in it; words after `token` stay."""
    return _SECRET.sub(lambda found: f"{found[found.lastindex or 0]}[redacted]", text)


def on_one_line(text: str) -> str:
    """Return `text` without anything that ends a line or moves a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


class RedactingFormatter(logging.Formatter):
    """Takes tokens out of what another formatter wrote, arguments and traceback included."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text without secrets."""
        return redact(self._formatter.format(record))
