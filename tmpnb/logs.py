"""Logs that hold no secrets: tokens and queries never reach them."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

from tornado.log import access_log, enable_pretty_logging
from tornado.web import RequestHandler

_TOKEN = re.compile(r"(?i)(token[=:\s\"']+)[A-Za-z0-9._~+/-]{8,}=*")


def redact(text: str) -> str:
    """Return `text` with everything that follows `token` taken out."""
    return _TOKEN.sub(r"\1[redacted]", text)


class RedactingFilter(logging.Filter):
    """Takes tokens out of every record that passes, arguments and traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; let all pass."""
        message = record.getMessage()
        clean = redact(message)
        if clean != message:
            record.msg, record.args = clean, ()
        if record.exc_info:
            formatted = record.exc_text or logging.Formatter().formatException(record.exc_info)
            record.exc_text = redact(formatted)
        return True


def configure(**options: object) -> None:
    """Set up the root logger as Tornado's options of the same names do.

    Args:
        options: `logging`, `log_to_stderr`, `log_file_prefix`, `log_file_max_size`,
            `log_file_num_backups`, `log_rotate_mode`, `log_rotate_when`,
            `log_rotate_interval`.
    """
    enable_pretty_logging(SimpleNamespace(**options))
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactingFilter())


def log_request(handler: RequestHandler) -> None:
    """Write one access line, with the path and without its query."""
    status = handler.get_status()
    level = logging.INFO if status < 400 else logging.WARNING
    if status >= 500 and status != 503:
        level = logging.ERROR
    request = handler.request
    milliseconds = 1000.0 * request.request_time()
    access_log.log(level, "%d %s %s %.1fms", status, request.method, request.path, milliseconds)
