"""The access log: a line for each request, and one for all the requests of a flood."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from tornado.log import access_log
from tornado.web import RequestHandler

from tmpnb.access.client_address import Client, client_of, shown
from tmpnb.system.logs.lines import FIELDS
from tmpnb.system.logs.redaction import on_one_line
from tmpnb.system.logs.repeats import Repeats
from tmpnb.system.net.networks import LOOPBACK

LONGEST_PATH = 1000  # characters of a path in a line
LONGEST_REASON = 300
Seen = Callable[[str, str], Client]


def by_loopback(peer: str, forwarded: str) -> Client:
    """Return who sends a request, where proxies are on this machine alone."""
    return client_of(peer, forwarded, LOOPBACK)


@dataclass(frozen=True, slots=True)
class Line:
    """What is told of a request.

    Attributes:
        error: Why it was refused, in words; empty if it was not.
    """

    level: int
    status: int
    method: str
    path: str
    client: str
    error: str = ""

    def fields(self, **more: object) -> dict[str, object]:
        """Return it as an object, with more that stands in it."""
        said = {"error": self.error} if self.error else {}
        return {
            "status": self.status,
            "method": self.method,
            "path": self.path,
            "client": self.client,
            **more,
            **said,
        }

    @property
    def reason(self) -> str:
        """The words that end the line."""
        return f": {self.error}" if self.error else ""


class AccessLog:
    """Writes the first request of a kind at once, and of those that follow how many they were.

    What one client asks of one kind of page, with the same answer, is of one kind. With the level
    debug each request has its line.
    """

    def __init__(
        self,
        seen: Seen = by_loopback,
        clock: Callable[[], float] = time.monotonic,
        *,
        anonymize: bool = False,
    ) -> None:
        """Begin with nothing.

        Args:
            seen: Returns who sends a request, given the peer's address and `X-Forwarded-For`.
            anonymize: Whether lines name networks in place of addresses.
            clock: Time in seconds that never goes back.
        """
        self._seen, self._repeats = seen, Repeats[Line](clock)
        self._anonymize = anonymize
        self._timer: asyncio.TimerHandle | None = None

    def write(self, handler: RequestHandler) -> None:
        """Write the line of a request that was answered, unless it repeats another."""
        request, status = handler.request, handler.get_status()
        level = _level(status)
        if not access_log.isEnabledFor(level):
            return
        forwarded = request.headers.get("X-Forwarded-For", "")
        client = self._seen(request.remote_ip or "", forwarded)
        line = Line(
            level,
            status,
            str(request.method),
            on_one_line(_short(request.path, LONGEST_PATH)),
            shown(client.address, anonymize=self._anonymize) or "-",
            on_one_line(_short(getattr(handler, "refused", ""), LONGEST_REASON)),
        )
        if access_log.isEnabledFor(logging.DEBUG) or self._is_first(client, handler, line):
            milliseconds = round(1000.0 * request.request_time(), 1)
            access_log.log(
                level,
                "%d %s %s %.1fms %s%s",
                *(status, line.method, line.path, milliseconds, line.client, line.reason),
                extra={FIELDS: line.fields(ms=milliseconds)},
            )

    def close(self) -> None:
        """Tell what was not told yet."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell(all_of_them=True)

    def _is_first(self, client: Client, handler: RequestHandler, line: Line) -> bool:
        method = line.method if line.method in handler.SUPPORTED_METHODS else ""
        wider = (line.status, method, type(handler))
        first = self._repeats.is_first((client.key, *wider), wider, line)
        self._wait()
        return first

    def _wait(self) -> None:
        """See that `_tell` is called when there is something to tell."""
        seconds = self._repeats.seconds_until_due()
        if self._timer is None and seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._told_in_time)

    def _told_in_time(self) -> None:
        self._timer = None
        self._tell()
        self._wait()

    def _tell(self, *, all_of_them: bool = False) -> None:
        span = self._repeats.span
        for line, more in self._repeats.take_due(all_of_them=all_of_them):
            access_log.log(
                line.level,
                "%d %s %s %s%s … %d more like it within %g s",
                *(line.status, line.method, line.path, line.client, line.reason, more, span),
                extra={FIELDS: line.fields(more=more, seconds=span)},
            )


def _level(status: int) -> int:
    if status >= 500 and status != 503:  # a full pool is nothing to mend
        return logging.ERROR
    return logging.INFO if status < 400 else logging.WARNING


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
