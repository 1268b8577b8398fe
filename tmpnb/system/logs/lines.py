"""Write a log record as text or as one JSON object, without secrets, whatever is in it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tornado.log import LogFormatter

from tmpnb.system.logs.redaction import redact

FIELDS = "tmpnb_fields"  # attribute of a record: more that stands in its JSON object


def moment(seconds: float, timespec: str = "seconds") -> str:
    """Return a point in time as ISO 8601 writes it, with the year in full and the zone here.

    Args:
        seconds: Unix time.
        timespec: How precise, as `datetime.isoformat` takes it.
    """
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec=timespec)


def message_of(record: logging.LogRecord) -> str:
    """Return what a record says, in words that can be encoded, even if it cannot be formatted."""
    try:
        said = record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments are anybody's objects
        said = f"{_plain(record.msg)} (cannot be formatted: {type(error).__name__})"
    return encodable(said)


def encodable(text: str) -> str:
    """Return a text in which halves of characters, which no encoding has, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class TextFormatter(LogFormatter):
    """Tornado's lines, with the time as `moment` has it, whatever a record holds."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - as the base class names it
        """Return when it was said."""
        del datefmt
        return moment(record.created)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; those of a traceback are indented below it."""
        fit = logging.makeLogRecord(record.__dict__)
        fit.msg, fit.args = message_of(record), ()
        return encodable(super().format(fit))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what a record has besides."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Secrets go before it is encoded: escaped they would not be known."""
        told: dict[str, object] = {
            "time": moment(record.created, "milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
        }
        told |= _told(getattr(record, FIELDS, None) or {})
        if record.exc_info:
            told["exception"] = _guarded(lambda: self.formatException(record.exc_info))  # type: ignore[arg-type]  # not None here
        elif record.exc_text:
            told["exception"] = record.exc_text
        if record.stack_info:
            told["stack"] = record.stack_info
        return json.dumps({name: _clean(value) for name, value in told.items()})


def _told(fields: dict[str, object]) -> dict[str, object]:
    """Return fields, but for those that a line has itself."""
    return {name: value for name, value in fields.items() if name not in _OWN}


_OWN = frozenset({"time", "level", "logger", "message", "exception", "stack"})


def _clean(value: object) -> object:
    """Return a value that JSON has, without secrets."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return redact(encodable(_plain(value)))


def _plain(value: Any) -> str:
    return _guarded(lambda: str(value), type(value).__name__)


def _guarded(say: Callable[[], str], otherwise: str = "(cannot be shown)") -> str:
    """Return what `say` does, which runs anybody's code."""
    try:
        return say()
    except Exception:  # noqa: BLE001 - the log of one fault is no reason for another
        return otherwise
