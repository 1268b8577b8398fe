"""A line of the log is whole, whatever is said in it: as text, and as one JSON object."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tmpnb.system.logs.lines import FIELDS, JsonFormatter, TextFormatter
from tmpnb.system.logs.redaction import RedactingFormatter
from tmpnb.system.signing import TokenMaker

TOKEN = TokenMaker(b"0123456789abcdef").token_for("abc")
CREATED = 1_790_000_000.25


class Unprintable:
    """Fails whoever looks at it."""

    def __str__(self) -> str:
        raise ValueError(f"no words, and token={TOKEN}")

    __repr__ = __str__


def record_of(message: object, *args: object, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("tmpnb.x", logging.WARNING, "/x/place.py", 7, message, args, None)
    made.created = CREATED
    made.__dict__.update(more)
    return made


def as_json(record: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable(), "on one line, whatever reads it"
    return dict(json.loads(line))


def as_text(record: logging.LogRecord) -> str:
    line = RedactingFormatter(TextFormatter(color=False)).format(record)
    line.encode("utf-8")
    return line


def raised(raise_it: Callable[[], object]) -> Any:
    try:
        raise_it()
    except (ValueError, RuntimeError, ArithmeticError):
        return sys.exc_info()
    raise AssertionError("it raised nothing")


def test_a_line_of_json_has_time_level_logger_and_message() -> None:
    told = as_json(record_of("%d servers of %s", 3, "lab"))
    time = told.pop("time")
    assert told == {"level": "warning", "logger": "tmpnb.x", "message": "3 servers of lab"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.250[+-]\d\d:\d\d", time)
    assert datetime.fromisoformat(time).timestamp() == CREATED


def test_a_line_of_text_has_the_year_in_full_and_the_zone() -> None:
    line = as_text(record_of("well"))
    found = re.fullmatch(r"\[W (\S+) place:7\] well", line)
    assert found, line
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", found[1])
    assert datetime.fromisoformat(found[1]).timestamp() == int(CREATED)


def test_fields_stand_beside_the_message_and_take_no_ones_place() -> None:
    fields = {"status": 404, "ms": 1.5, "slow": False, "message": "x", "time": 0, "ids": ["a"]}
    told = as_json(record_of("m", **{FIELDS: fields}))
    assert (told["status"], told["ms"], told["slow"], told["ids"]) == (404, 1.5, False, "['a']")
    assert told["message"] == "m"
    assert told["time"] != 0


@pytest.mark.parametrize(
    "message",
    [
        "two\nlines\r\nand\u2028more\x85\x1b[2J\0",
        'quotes " and \\ and {"a": 1}',
        "half a character \udce9 \ud83d",
        "whole ones: é 日本 🪐",
    ],
)
def test_what_is_said_comes_back_and_breaks_no_line(message: str) -> None:
    told = as_json(record_of("%s", message))["message"]
    assert told == message.encode("utf-8", "backslashreplace").decode()
    as_text(record_of("%s", message))


@pytest.mark.parametrize(
    "record",
    [
        record_of("%d servers", "many"),
        record_of("%s", Unprintable()),
        record_of("%s %s", "one"),
        record_of(Unprintable()),
        record_of("m", **{FIELDS: {"x": Unprintable(), "y": float("nan"), "z": float("inf")}}),
    ],
    ids=["type", "object", "too few", "message", "fields"],
)
def test_what_cannot_be_formatted_is_a_line_all_the_same(record: logging.LogRecord) -> None:
    assert set(as_json(record)) >= {"time", "level", "logger", "message"}
    assert as_text(record).startswith("[W ")
    assert TOKEN not in as_text(record)


def test_what_cannot_be_formatted_says_what_was_meant() -> None:
    told = as_json(record_of("%d servers", "many"))["message"]
    assert told == "%d servers (cannot be formatted: TypeError)"
    assert as_text(record_of("%d servers", "many")).endswith(told)


@pytest.mark.parametrize("encode", [as_text, lambda record: json.dumps(as_json(record))])
def test_no_form_has_secrets(encode: Callable[[logging.LogRecord], str]) -> None:
    def fail() -> None:
        raise ValueError(f'{{"token": "{TOKEN}"}}')

    quoted = record_of("%s", {"Authorization": f"token {TOKEN}"})
    escaped = record_of('"token": "%s"\n/lab?token=%s', TOKEN, TOKEN)
    traced = record_of("it failed", exc_info=raised(fail))
    stacked = record_of("here", stack_info=f"token={TOKEN}")
    fields = record_of("m", **{FIELDS: {"path": f"/x?token={TOKEN}", "d": {"token": TOKEN}}})
    lines = [encode(record) for record in (quoted, escaped, traced, stacked, fields)]
    assert not [line for line in lines if TOKEN in line]
    assert all("[redacted]" in line for line in lines[:3])


def test_json_has_the_traceback_in_its_line() -> None:
    told = as_json(record_of("it failed", exc_info=raised(lambda: 1 // 0)))
    assert told["exception"].startswith("Traceback")
    assert told["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")
    assert as_json(record_of("m", exc_text="kept"))["exception"] == "kept"
    assert as_json(record_of("m", stack_info="Stack: x"))["stack"] == "Stack: x"


def test_an_error_that_has_no_words_is_told() -> None:
    def fail() -> None:
        raise RuntimeError(Unprintable())

    told = as_json(record_of("it failed", exc_info=raised(fail)))
    assert "RuntimeError" in told["exception"]
    assert "RuntimeError" in as_text(record_of("it failed", exc_info=raised(fail)))
