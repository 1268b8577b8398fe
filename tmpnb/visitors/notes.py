"""A text file in an archive that tells of the other files, of bounded size. Pure."""

from __future__ import annotations

from collections.abc import Callable


class Note:
    """A heading and lines below it; without any there is nothing to say."""

    def __init__(self, heading: str, most: int) -> None:
        """Begin without lines.

        Args:
            heading: The first line.
            most: Lines that are kept; the others are counted.
        """
        self._heading, self._most = heading, most
        self._lines: list[str] = []
        self._unsaid = 0

    def add(self, line: Callable[[], str]) -> None:
        """Add a line, which is made only if there is room for one more."""
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
