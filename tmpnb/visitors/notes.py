"""A text file of limited size in an archive, about the other files. Pure."""

from __future__ import annotations

from collections.abc import Callable


class Note:
    """A heading and lines below it; nothing without lines."""

    def __init__(self, heading: str, most: int) -> None:
        """Start empty.

        Args:
            heading: The first line.
            most: Lines that are kept; the others are counted.
        """
        self._heading, self._most = heading, most
        self._lines: list[str] = []
        self._unsaid = 0

    def add(self, line: Callable[[], str]) -> None:
        """Add a line, which is built only if there is room for one more."""
        if len(self._lines) < self._most:
            self._lines.append(line())
        else:
            self._unsaid += 1

    def text(self) -> str:
        """Return the whole with the ends of lines that every editor knows; or nothing."""
        if not self._lines and not self._unsaid:
            return ""
        more = [f"and {self._unsaid} more"] if self._unsaid else []
        return "\r\n".join([self._heading, "", *self._lines, *more, ""])
