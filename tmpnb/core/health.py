"""What is wrong right now, in words, each said once in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from tmpnb.errors import SpawnerError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault that lasts."""

    message: str
    since: float  # Unix time in seconds


class Health:
    """Open problems by topic (`engine`, `proxy`, `start`, …) and the last good pass."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.problems: dict[str, Problem] = {}
        self.last_error: Problem | None = None  # open or not; None: there was none yet
        self.last_pass: float | None = None  # Unix time in seconds

    def report(self, topic: str, message: str) -> None:
        """Open or update the problem of a topic; only a message with a new first line is logged.

        What stands below the first line, as a server's last words, may differ each time.
        """
        known = self.problems.get(topic)
        if known is None or _first_line(known.message) != _first_line(message):
            log.warning("%s: %s", topic, message)
        elif known.message == message:
            return
        since = known.since if known else self._clock()
        self.problems[topic] = Problem(message, since)
        self.last_error = Problem(f"{topic}: {message}", self._clock())

    def state(self, topic: str, message: str) -> None:
        """Open or update the problem of a topic; without a message, close it."""
        if message:
            self.report(topic, message)
        else:
            self.solved(topic)

    def require_starts(self, *, has_room: bool) -> None:
        """Refuse before a ready server makes place for one that will not start.

        Raises:
            SpawnerError: The engine does not answer, or there is no room and starts fail.
        """
        if "engine" in self.problems or ("start" in self.problems and not has_room):
            raise SpawnerError("no server can be started for now")

    def solved(self, topic: str) -> None:
        """Close the problem of a topic, if it is open."""
        known = self.problems.pop(topic, None)
        if known is not None:
            log.info("%s: well again after %.0f s", topic, self._clock() - known.since)

    def passed(self) -> None:
        """Note a pass of the reconcile loop that could read everything."""
        self.last_pass = self._clock()

    def last_pass_age(self) -> float | None:
        """Return the seconds since the last good pass, None before the first."""
        return None if self.last_pass is None else round(self._clock() - self.last_pass, 3)


def _first_line(message: str) -> str:
    return message.partition("\n")[0]
