"""Why and when the servers that visitors had have ended, and how a visitor is told. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tmpnb.core.server import StopReason
from tmpnb.system.units import Moment, duration

REMEMBERED = 10_000  # servers whose end is kept in memory; about 3 MB

_WORDS = {
    StopReason.IDLE: "Nobody had used it for {idle}, so it was closed.",
    StopReason.TOO_OLD: "It had reached the time limit for notebooks here, {age}.",
    StopReason.BURNING: "It had kept a processor busy for a long time with nobody there, "
    "so it was closed.",
    StopReason.CLOSED: "Its user stopped it.",
    StopReason.STOPPED: "It was stopped by those who run the service.",
    StopReason.EXITED: "It ended by itself: it crashed, ran out of memory, or was shut down "
    "from inside.",
    StopReason.UNROUTABLE: "The service could not connect you to it. This was not your fault.",
    StopReason.UNKNOWN: "The service lost track of it. This was not your fault.",
    StopReason.ABANDONED: "Nobody was there any more when it was handed over.",
    StopReason.SHUTDOWN: "The service was shut down by those who run it.",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How one server's life ended."""

    reason: StopReason
    at: float  # when it began to stop, Unix time in seconds


class Endings:
    """The latest endings, by server id."""

    def __init__(self, most: int = REMEMBERED) -> None:
        """Begin without any; at most `most` are kept, the latest."""
        self._most = most
        self._endings: OrderedDict[str, Ending] = OrderedDict()

    def __len__(self) -> int:
        """How many are known."""
        return len(self._endings)

    def note(self, server_id: str, ending: Ending) -> None:
        """Keep how a server ended; the oldest is forgotten for it."""
        self._endings[server_id] = ending
        self._endings.move_to_end(server_id)
        while len(self._endings) > self._most:
            self._endings.popitem(last=False)

    def of(self, server_id: str) -> Ending | None:
        """Return how a server ended; None if that is not known, or not any more."""
        return self._endings.get(server_id)


@dataclass(frozen=True, slots=True)
class Farewell:
    """What a visitor is told of a server that has ended.

    Attributes:
        why: One sentence; empty if it is not known.
        reason: The same in one word, for programs.
        at: When it began to stop, Unix time in seconds by the system's clock.
        stopping: Whether it is still being removed.
    """

    why: str = ""
    reason: StopReason | None = None
    at: float | None = None
    stopping: bool = False

    @property
    def moment(self) -> Moment | None:
        """When it began to stop, for pages."""
        return None if self.at is None else Moment(self.at)

    @property
    def message(self) -> str:
        """All of it in one line, for programs and for the dialogs of open pages."""
        if self.stopping:
            first, last = "This notebook server is being stopped.", "Its files go with it."
        else:
            first, last = "This notebook server has ended", "Its files are gone."
            first += "." if self.moment is None else f" at {self.moment.text}."
        return " ".join(filter(None, [first, self.why, last]))

    def as_error(self) -> dict[str, Any]:
        """Return the body of an answer; `message` is also where Jupyter's pages look for it."""
        error: dict[str, Any] = {"code": "server_ended", "message": self.message}
        if self.reason is not None:
            error |= {"reason": str(self.reason), "ended_at": self.at}
        return {"error": error, "message": self.message}


def farewell(
    ending: Ending | None,
    *,
    stopping: bool,
    max_idle: float,
    max_age: float,
    to_system: Callable[[float], float],
) -> Farewell:
    """Return what is told of an ending.

    Args:
        ending: What is known of it.
        stopping: Whether the server is still being removed.
        max_idle: Seconds after which an unused server ends.
        max_age: Seconds after which any server ends.
        to_system: Turns a time of the service's clock into one of the system's.
    """
    if ending is None:
        return Farewell()
    words = _WORDS.get(ending.reason, "")
    why = words.format(idle=duration(max_idle), age=duration(max_age))
    return Farewell(why, ending.reason, to_system(ending.at), stopping)
