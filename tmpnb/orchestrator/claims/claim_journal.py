"""Keep claims over a restart until the engine knows them: a small file in the state directory.

To write a claim into an engine takes milliseconds of everybody's time, which visitors who
come in a crowd would wait for. A line in a file takes microseconds, and outlives this process
as well. It is not forced to the disk: when the machine falls, the servers fall with it.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from tmpnb.system.files import plain_file

log = logging.getLogger(__name__)

LARGEST = 100 * 1024 * 1024  # bytes: lines of 100,000 servers, many times over
LONGEST = 10_000  # lines, after which the file is written anew
_MOMENT = re.compile(r"\d{1,12}")  # seconds


class Journal:
    """Claims that the engine does not know yet. Synchronous."""

    def __init__(self, path: Path) -> None:
        """Keep where the file is; nothing is read or written yet.

        Args:
            path: In a directory that is there, and that one orchestrator uses.
        """
        self._path = path
        self._open: dict[str, float] = {}
        self._lines = 0
        self._torn = ""  # what ends a line that a full disk may have cut

    def read(self) -> dict[str, float]:
        """Return the claims of the file: Unix time in seconds, by the system's clock, by server id.

        A line that makes no sense, as the last one when the disk was full, is left out.
        """
        try:
            text = plain_file.read(self._path, LARGEST).decode("ascii", errors="replace")
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning("cannot read the claims in %s: %s", self._path, error.strerror)
            return {}
        claims = {}
        for line in text.splitlines(keepends=True):
            server_id, _, moment = line.partition(" ")
            if line.endswith("\n") and server_id and _MOMENT.fullmatch(moment.strip()):
                claims[server_id] = float(moment)
        return claims

    def begin(self, claims: dict[str, float]) -> None:
        """Forget what the file says, but for these."""
        self._open = dict(claims)
        self._rewrite()

    def note(self, server_id: str, moment: float) -> bool:
        """Write a claim down; whether that came about.

        Args:
            server_id: Whose.
            moment: Unix time in seconds by the system's clock; kept in whole seconds.
        """
        try:
            with self._path.open("a", encoding="ascii") as file:
                file.write(self._torn + _line(server_id, moment))
        except (OSError, UnicodeEncodeError):
            self._torn = "?\n"  # so that what is there of it makes no sense
            return False  # the engine is told at once instead; see `HandOver`
        self._torn = ""
        self._open[server_id] = moment
        self._lines += 1
        if self._lines > LONGEST + len(self._open):  # one that is noted again and again
            self._rewrite()
        return True

    def settle(self, server_id: str) -> None:
        """Forget a claim: the engine knows it, or the server is leaving."""
        if self._open.pop(server_id, None) is None:
            return
        if not self._open or self._lines > LONGEST:
            self._rewrite()

    def _rewrite(self) -> None:
        """Bring the file to what is open; if that fails, old lines stay, which is safe."""
        draft = self._path.with_suffix(".new")
        try:
            draft.write_text("".join(_line(i, m) for i, m in self._open.items()), encoding="ascii")
            os.replace(draft, self._path)
        except OSError as error:
            log.debug("cannot write %s: %s", self._path, error.strerror)
        self._lines = len(self._open)


def _line(server_id: str, moment: float) -> str:
    return f"{server_id} {int(moment)}\n"
