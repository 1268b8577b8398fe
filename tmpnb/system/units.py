"""Say bytes, points and spans of time in words, and read times that others write. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, Unix time in seconds, as pages show it."""

    unix: float

    @property
    def iso(self) -> str:
        """As the `datetime` of a `time` element, to the second."""
        return self._utc.isoformat(timespec="seconds")

    @property
    def text(self) -> str:
        """Date and time of day in UTC, to the minute."""
        return self._utc.strftime("%Y-%m-%d %H:%M UTC")

    @property
    def _utc(self) -> datetime:
        return datetime.fromtimestamp(self.unix, UTC)


def duration(seconds: float) -> str:
    """Return about how long that is, in words: minutes, then hours, then days."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        return _many(minutes, "minute")
    hours = round(minutes / 60)
    return _many(hours, "hour") if hours < 48 else _many(round(hours / 24), "day")


def _many(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


KILO = 1024  # as in --mem-limit
UNITS = ("bytes", "KB", "MB", "GB", "TB")


def in_words(size: float) -> str:
    """Return bytes as "512 MB" or "23.5 GB"."""
    unit = 0
    while size >= KILO and unit < len(UNITS) - 1:
        size, unit = size / KILO, unit + 1
    rounded = f"{size:.1f}".removesuffix(".0") if size < 100 else f"{size:.0f}"
    return f"{rounded} {UNITS[unit]}"


LONGEST = 64  # characters


def unix_time(text: object) -> float | None:
    """Return ISO 8601 text as Unix time in seconds; None if it is not a time with a zone."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.timestamp() if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None
