"""What one check found, as a value and as a line. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

TOPIC_WIDTH = 8  # characters


class Level(enum.StrEnum):
    """How good it is; the value is what the line begins with."""

    OK = "ok"
    WARN = "warn"  # works, and somebody should know
    FAIL = "FAIL"  # does not work until it is mended
    SKIP = "skip"  # could not be looked at, or need not be


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    level: Level
    topic: str  # one word
    words: str
    mend: str = ""  # what to do about it
    detail: tuple[str, ...] = ()  # more lines, such as the last ones of a log
    stops: bool = False  # whether no server can be tried because of it, though it is no failure

    @property
    def blocks(self) -> bool:
        """Whether a server need not be tried."""
        return self.stops or self.level is Level.FAIL

    def line(self) -> str:
        """Return it for people; more lines only with `detail`."""
        mend = f"; fix: {self.mend}" if self.mend else ""
        first = f"{self.level.value:<4} {self.topic:<{TOPIC_WIDTH}} {self.words}{mend}"
        return "\n".join([first, *(f"     | {line}" for line in self.detail)])


def ok(topic: str, words: str) -> Finding:
    """Return that all is well."""
    return Finding(Level.OK, topic, words)


def warn(topic: str, words: str, mend: str = "") -> Finding:
    """Return what works and should be known."""
    return Finding(Level.WARN, topic, words, mend)


def fail(topic: str, words: str, mend: str) -> Finding:
    """Return what has to be mended."""
    return Finding(Level.FAIL, topic, words, mend)


def skip(topic: str, words: str) -> Finding:
    """Return that this was not looked at, and why."""
    return Finding(Level.SKIP, topic, words)


def failure(topic: str, message: str, mend: str = "") -> Finding:
    """Return a failure from the message of an error, which is written `what; what to do`.

    Args:
        topic: One word.
        message: The error's.
        mend: What to do if the message does not say it.
    """
    words, said, cure = message.rpartition("; ")
    return fail(topic, words, cure.removeprefix("try: ")) if said else fail(topic, message, mend)
