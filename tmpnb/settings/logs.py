"""The settings of the log, and setting it up: where it goes and in which form."""

from __future__ import annotations

import logging
from logging import Logger
from types import SimpleNamespace

from tornado.log import LogFormatter, enable_pretty_logging
from traitlets import Bool, CaselessStrEnum, Enum, Int, Unicode
from traitlets.config import Configurable

from tmpnb.system.logs.lines import JsonFormatter, TextFormatter
from tmpnb.system.logs.redaction import RedactingFormatter

TEXT, JSON = "text", "json"


class LogSettings(Configurable):
    """What is logged, where and how."""

    log: Logger

    logging = CaselessStrEnum(
        ["debug", "info", "warning", "error", "none"], "info", help="Least level that is logged."
    ).tag(config=True)
    log_format = CaselessStrEnum(
        [TEXT, JSON], TEXT, help="Form of the log: lines of text, or a JSON object on each line."
    ).tag(config=True)
    log_to_stderr = Bool(
        None, allow_none=True, help="Log to stderr; the default unless there is a log file."
    ).tag(config=True)
    log_file_prefix = Unicode("", help="Log file.").tag(config=True)
    log_file_max_size = Int(100_000_000, min=1, help="Bytes of a log file before the next.").tag(
        config=True
    )
    log_file_num_backups = Int(10, min=0, help="Log files to keep; 0 for no bound at all.").tag(
        config=True
    )
    log_rotate_mode = Enum(["size", "time"], "size", help="When to begin a log file.").tag(
        config=True
    )
    log_rotate_when = Enum(
        ["S", "M", "H", "D", "W0", "W1", "W2", "W3", "W4", "W5", "W6", "midnight"],
        "midnight",
        help="Unit of the log files' interval.",
    ).tag(config=True)
    log_rotate_interval = Int(1, min=1, help="Intervals before the next log file.").tag(config=True)

    def set_up_logs(self) -> None:
        """Log as the settings say from now on."""
        names = LogSettings.class_own_traits(config=True).keys() - {"log_format"}  # as Tornado's
        configure(self.log_format, **{name: getattr(self, name) for name in names})
        self.log.propagate = True  # to what was just set up, which traitlets keeps it from


def is_worth_saying(record: logging.LogRecord) -> bool:
    """Whether a record concerns anybody.

    Tornado logs, as an error with a traceback, what befell a request after it was given up; that
    is how all of them end whose connection is closed at the same time.
    """
    return record.msg != "Exception after Future was cancelled"


def configure(log_format: str = TEXT, **options: object) -> None:
    """Set up the root logger as Tornado's options of the same names do.

    With `logging="none"` nothing is logged, not even by Python's last resort.

    Args:
        log_format: `text` or `json`.
        options: Those of Tornado: `logging`, `log_to_stderr`, `log_file_prefix` and the like.
    """
    enable_pretty_logging(SimpleNamespace(**options))
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    for handler in root.handlers:
        handler.addFilter(is_worth_saying)
        handler.setFormatter(_formatter(handler, log_format))


def _formatter(handler: logging.Handler, log_format: str) -> logging.Formatter:
    if log_format == JSON:
        return JsonFormatter()
    given = handler.formatter or logging.Formatter()
    if type(given) is LogFormatter:
        given = TextFormatter(color=not isinstance(handler, logging.FileHandler))
    return RedactingFormatter(given)
