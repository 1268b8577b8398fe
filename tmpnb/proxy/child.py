"""One life of a proxy that runs as our child: its output, its exit, and what it complained of."""

from __future__ import annotations

import asyncio
import logging
import re
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

from tmpnb.system import process

log = logging.getLogger(__name__)

DRAIN = 1.0  # seconds for the last output of a proxy that has ended
LINE = 64 * 1024  # bytes of a line that are kept
KEPT_LINES = 5

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"(?i)\berror:")
# CHP only says that it could not get a port, and goes on without.
_NO_PORT = re.compile(r"\blisten (E[A-Z]+)\b.*:(\d+)")


class ProxyChild:
    """A running proxy, in a session of its own.

    Attributes:
        identity: Its process.
        refused: The system's word and the port, if it could not listen there. It is
            ended then, since it is of no use.
    """

    def __init__(self, running: asyncio.subprocess.Process, secret: str) -> None:
        self.refused: tuple[str, int] | None = None
        self.identity = process.find(running.pid) or process.Process(running.pid, born="")
        self._running, self._secret = running, secret
        self._last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._reader = asyncio.create_task(self._read())  # awaited in `ended` and `close`

    @classmethod
    async def spawn(
        cls, arguments: Sequence[str], environment: Mapping[str, str], secret: str
    ) -> ProxyChild:
        """Start it; `secret` never shows in our log.

        Raises:
            OSError: The program cannot be run.
        """
        running = await asyncio.create_subprocess_exec(
            *arguments,
            env=environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        return cls(running, secret)

    @property
    def has_ended(self) -> bool:
        """Whether it is no more."""
        return self._running.returncode is not None

    async def ended(self) -> str:
        """Wait until it is no more; return its exit code and last words, on one line."""
        code = await self._running.wait()
        await asyncio.wait([self._reader], timeout=DRAIN)
        words = " | ".join(self._last_lines)
        return f"with code {code}: {words}" if words else f"with code {code}, without a word"

    async def close(self) -> None:
        """Let go of it, once all of its processes have been ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                await self._running.wait()
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        """Pass its output on to our log, line by line."""
        output = self._running.stdout
        if output is None:  # never: it was asked for
            return
        partial = b""
        while chunk := await output.read(LINE):
            *lines, partial = (partial + chunk).split(b"\n")
            partial = partial[-LINE:]
            for line in lines:
                self._note(line)
        self._note(partial)

    def _note(self, line: bytes) -> None:
        text = _COLOUR.sub("", line.decode(errors="replace")).strip()
        text = text.replace(self._secret, "[redacted]") if self._secret else text
        if not text:
            return
        self._last_lines.append(text)
        log.log(logging.WARNING if _ERROR.search(text) else logging.DEBUG, "proxy: %s", text)
        complaint = _NO_PORT.search(text)
        if complaint and not self.has_ended:
            self.refused = (complaint[1], int(complaint[2]))
            self._running.terminate()
