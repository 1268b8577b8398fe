"""Logs that hold no secrets: tokens and queries never reach them."""

from __future__ import annotations

import asyncio
import logging
import re
from types import SimpleNamespace

from tornado.log import access_log, enable_pretty_logging
from tornado.web import RequestHandler

from tmpnb.floods import Floods

_VALUE = r"[^\s\"'&<>]+"
_SECRET = re.compile(
    # token=…, token%3D…, "token": "…"
    rf"((?:token|secret_key)[\"']?[ \t]*(?:=|%3d|:(?=[ \t]*[\"']))[ \t]*[\"']?){_VALUE}"
    # Authorization: token …
    rf"|(authorization[\"']?[ \t]*[:=,][ \t]*b?[\"']?(?:token|bearer|basic)[ \t]+){_VALUE}"
    # token …, if it does not read like a word: digits in it, or very long
    r"|((?:token|bearer)[ \t:\"']+)(?:(?=[\w.~+/-]*\d)[\w.~+-][\w.~+/-]{7,}|[\w.~+-]{24,})=*"
    # our cookies, the passphrase of a form or a header
    rf"|((?:tmpnb-(?:session|visitor|pass)[\w.-]*|passphrase)[ \t]*[=:][ \t]*[\"']?){_VALUE}"
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


def is_worth_saying(record: logging.LogRecord) -> bool:
    """Whether a record concerns anybody.

    Tornado logs, as an error with a traceback, what befell a request after it was given up; that
    is how all of them end whose connection is closed at the same time.
    """
    return record.msg != "Exception after Future was cancelled"


class RedactingFormatter(logging.Formatter):
    """Takes tokens out of what another formatter wrote, arguments and traceback included."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text without secrets."""
        return redact(self._formatter.format(record))


def configure(**options: object) -> None:
    """Set up the root logger as Tornado's options of the same names do.

    With `logging="none"` nothing is logged, not even by Python's last resort.

    Args:
        options: `logging`, `log_to_stderr`, `log_file_prefix`, `log_file_max_size`,
            `log_file_num_backups`, `log_rotate_mode`, `log_rotate_when`,
            `log_rotate_interval`.
    """
    enable_pretty_logging(SimpleNamespace(**options))
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    for handler in root.handlers:
        handler.addFilter(is_worth_saying)
        handler.setFormatter(RedactingFormatter(handler.formatter or logging.Formatter()))


class AccessLog:
    """Writes one access line for each request; for the many of an ended server's page, a few.

    A handler names what its request is one of many for by an attribute `flood`.
    """

    def __init__(self) -> None:
        self._floods = Floods(
            lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
            lambda name, count, seconds: access_log.warning(
                "%d more requests for %s in %.0f s", count, name, seconds
            ),
        )

    def __call__(self, handler: RequestHandler) -> None:
        """Write what there is to be said of an answer."""
        flood = getattr(handler, "flood", "")
        if not flood or not self._floods.is_told(flood):
            log_request(handler)


def log_request(handler: RequestHandler) -> None:
    """Write one access line, with the path and without its query."""
    status = handler.get_status()
    level = logging.INFO if status < 400 else logging.WARNING
    if status >= 500 and status != 503:
        level = logging.ERROR
    request = handler.request
    milliseconds = 1000.0 * request.request_time()
    path = on_one_line(request.path)
    access_log.log(level, "%d %s %s %.1fms", status, request.method, path, milliseconds)
