"""What the admin port tells, as lines for people. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tmpnb.access.bans import written
from tmpnb.system.logs.redaction import on_one_line
from tmpnb.system.units import Moment

Answer = Mapping[str, Any]

UNKNOWN = "-"
LONGEST = 80  # characters of one field
LARGEST = 1e15  # of a number that is taken for one
GAP = "  "
COLUMNS = ("ID", "PHASE", "AGE", "USED", "ENDS", "CLIENT", "CPU", "MEMORY", "IMAGE")
UNITS = ("B", "kB", "MB", "GB", "TB")


def servers(answer: Answer) -> list[str]:
    """Return a table of servers, and a line that counts them."""
    rows, now = _rows(answer, "servers"), _number(answer.get("now")) or 0.0
    claimed = sum(row.get("phase") == "claimed" for row in rows)
    table = lined_up([COLUMNS, *(_server(row, now) for row in rows)]) if rows else []
    said = f"{many(len(rows), 'server')}, {claimed} with visitors"
    if answer.get("anonymized") is True:
        said += "; networks in place of addresses, as --anonymize says"
    return [*table, said]


def status(answer: Answer, url: str) -> list[str]:
    """Return how the service is, a line for each part."""
    stats = answer.get("stats")
    stats = stats if isinstance(stats, dict) else {}
    count = {name: _text(value) for name, value in stats.items()}.get
    bans = answer.get("bans")
    bans = bans if isinstance(bans, dict) else {}
    lines = [
        ("service", f"tmpnb {count('version', UNKNOWN)} at {url}"),
        ("health", _text(answer.get("status"))),
        *(("problem", f"{_text(topic)}: {_message(one)}") for topic, one in _problems(answer)),
        (
            "servers",
            f"{count('claimed')} with visitors, {count('available')} ready, "
            f"{count('starting')} starting, {count('stopping')} stopping, "
            f"of {count('capacity')}",
        ),
        ("waiting", f"{count('waiting')} in line"),
        ("image", count("container_image", "") or UNKNOWN),
        ("notice", _text(answer.get("announcement")) or "none"),
        ("bans", f"{_text(bans.get('here'))} here, {_text(bans.get('in_settings'))} in settings"),
    ]
    return [f"{name:<8} {words}" for name, words in lines]


def bans(answer: Answer) -> list[str]:
    """Return a table of banned networks, and how many the settings have."""
    rows = [
        (_network(row.get("network")), _moment(_number(row.get("since"))))
        for row in _rows(answer, "bans")
    ]
    table = lined_up([("NETWORK", "SINCE"), *rows]) if rows else ["no network is banned here"]
    more = answer.get("in_settings")
    return [*table, f"{many(more, 'more network')} in --banned-networks"] if more else table


def lined_up(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines in which columns begin below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        GAP.join(field.ljust(width) for field, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def span(seconds: float | None) -> str:
    """Return a number of seconds in two units at most: `45s`, `12m`, `3h 05m`, `2d 04h`."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 120:
        return f"{minutes}m"
    if hours < 48:
        return f"{hours}h {minutes % 60:02}m"
    return f"{hours // 24}d {hours % 24:02}h"


def size(count: float | None) -> str:
    """Return a number of bytes: `512 B`, `53 MB`, `1.5 GB`."""
    if count is None:
        return UNKNOWN
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            break
        count /= 1000
    return f"{count:.1f} {unit}" if 0 < count < 10 and unit != "B" else f"{count:.0f} {unit}"


def _server(row: Answer, now: float) -> Sequence[str]:
    used, ends = _number(row.get("last_use")), _number(row.get("expires_at"))
    claimed_at, age = _number(row.get("claimed_at")), _number(row.get("age"))
    return (
        _text(row.get("id")),
        _text(row.get("phase")),
        span(age if claimed_at is None else now - claimed_at),
        UNKNOWN if used is None else f"{span(now - used)} ago",
        UNKNOWN if ends is None else f"in {span(ends - now)}",
        _text(row.get("client")) or UNKNOWN,
        span(_number(row.get("cpu_seconds"))),
        size(_number(row.get("memory"))),
        _text(row.get("image")) or UNKNOWN,
    )


def _rows(answer: Answer, name: str) -> list[Answer]:
    found = answer.get(name)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _problems(answer: Answer) -> Iterable[tuple[object, object]]:
    found = answer.get("problems")
    return found.items() if isinstance(found, dict) else ()


def _message(problem: object) -> str:
    return _text(problem.get("message")) if isinstance(problem, dict) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < LARGEST else None  # neither for what is no number


def _text(value: object) -> str:
    """Return what was told on one line, and not too long: servers have a say in some of it."""
    text = "" if value is None else on_one_line(str(value)).strip()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _network(told: object) -> str:
    try:
        return written(ipaddress.ip_network(_text(told)))
    except ValueError:
        return _text(told)


def _moment(unix: float | None) -> str:
    try:
        return UNKNOWN if unix is None else Moment(unix).text
    except (ValueError, OverflowError, OSError):
        return UNKNOWN


def many(count: object, what: str) -> str:
    """Return a count with what is counted."""
    return f"{_text(count)} {what}{'' if count == 1 else 's'}"
