"""Show how a run goes: a table that stays in place on a terminal, else a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TextIO

from tmpnb.commands.load.tally import Tally

REDRAW, LINE = 0.5, 5.0  # seconds between two looks, on a terminal and elsewhere
BAR = 30  # characters


class Screen:
    """Where the progress is shown.

    Attributes:
        pause: Seconds between two calls of `show`.
    """

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self.pause = REDRAW if self._is_terminal else LINE
        self._drawn = 0  # lines that the next table takes the place of

    def show(self, tally: Tally, seconds: float) -> None:
        """Show the numbers of now."""
        if not self._is_terminal:
            self._out.write(f"{line(tally, seconds)}\n")
            self._out.flush()
            return
        lines = [progress(tally, seconds), *tally.table()]
        self._clear()
        self._out.write("".join(f"{text}\n" for text in lines))
        self._out.flush()
        self._drawn = len(lines)

    def end(self, tally: Tally, seconds: float) -> None:
        """Show the last numbers, which stay."""
        self._clear()
        texts = [line(tally, seconds), *tally.table()]
        self._out.write("".join(f"{text}\n" for text in texts))
        self._out.flush()

    def _clear(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F\x1b[J")  # to the first line, clear below
        self._drawn = 0


def line(tally: Tally, seconds: float) -> str:
    """Return the numbers of now in one line."""
    return f"{seconds:6.0f} s  " + ", ".join(_numbers(tally))


def progress(tally: Tally, seconds: float) -> str:
    """Return a bar of those who are through, and what the others do."""
    done = (tally.served + tally.failed) * BAR // tally.visitors
    doing = ", ".join(f"{count} {step}" for step, count in sorted(tally.doing.items()) if count)
    bar = f"[{'#' * done}{'.' * (BAR - done)}]"
    return f"{bar} {line(tally, seconds).strip()}" + f"  ({doing})" * bool(doing)


def _numbers(tally: Tally) -> Iterator[str]:
    yield f"{tally.arrived} of {tally.visitors} came"
    yield f"{tally.here} are here"
    yield f"{tally.served} were served"
    yield f"{tally.failed} failed"
