"""Parse timestamps from other programs into Unix time in seconds. Pure."""

from __future__ import annotations

from datetime import datetime

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
