"""A number of bytes in words. Pure."""

from __future__ import annotations

KILO = 1024  # as in --mem-limit
UNITS = ("bytes", "KB", "MB", "GB", "TB")


def in_words(size: float) -> str:
    """Return bytes as "512 MB" or "23.5 GB"."""
    unit = 0
    while size >= KILO and unit < len(UNITS) - 1:
        size, unit = size / KILO, unit + 1
    rounded = f"{size:.1f}".removesuffix(".0") if size < 100 else f"{size:.0f}"
    return f"{rounded} {UNITS[unit]}"
