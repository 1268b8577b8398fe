"""Hear from the engine which servers ended by themselves, before it starts them again.

Every container is started again by the engine when it ends, since an engine that restarts ends
them all. A server that its visitor shut down ends with exit status 0, and nobody killed it:
only the engine's events tell that apart. What is missed, as while the stream is broken, is
taken as it was before: the server comes back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import docker

from tmpnb.core.observation import Instance
from tmpnb.spawners.docker.labels import SERVER, selection
from tmpnb.spawners.docker_api.threads import explain

log = logging.getLogger(__name__)

PATIENCE = 1.0  # seconds in which the engine tells that it killed one, or goes away itself
RETRY = 2.0  # seconds
LONGEST = 1024 * 1024  # bytes of one event; it tells all labels of its container


class EndWatch:
    """Those that ended by themselves with status 0. One thread listens."""

    def __init__(self, client: docker.APIClient, pool: str, told: Callable[[], None]) -> None:
        """Keep what is needed; `start` begins.

        Args:
            client: Asks the engine; one of its connections is taken for good.
            pool: Whose servers.
            told: Called on the loop of whoever starts it when one has ended.
        """
        self._client, self._told = client, told
        self._filters: dict[str, Any] = {**selection(pool), "event": ["die", "kill"]}
        self._lock = threading.Lock()
        self._ended: set[str] = set()  # server ids
        self._killed: set[str] = set()  # container ids, from their kill to their end
        self._timers: dict[str, threading.Timer] = {}  # by container id
        self._stream: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, name="docker-events", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._closed.set()
        self._forget_doubtful()
        self._hang_up()

    def __contains__(self, server_id: object) -> bool:
        """Whether a server ended by itself."""
        with self._lock:
            return server_id in self._ended

    def marked(self, found: Sequence[Instance]) -> list[Instance]:
        """Return instances, those marked that ended by themselves."""
        return [replace(one, ended=True) if one.server_id in self else one for one in found]

    def forget(self, server_id: str) -> None:
        """Drop a server that is removed."""
        with self._lock:
            self._ended.discard(server_id)

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                self._stream = self._client.events(filters=self._filters, decode=False)
                for event in _events(self._stream):
                    self.hear(event)
            except BaseException as error:  # noqa: BLE001 - whatever it was, it is listened again
                log.debug("the engine's events broke off: %s", explain(error))
            self._forget_doubtful()
            self._hang_up()
            self._closed.wait(RETRY)

    def _hang_up(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(Exception):  # docker-py looks for a socket that may be gone
                stream.close()

    def hear(self, event: object) -> None:
        """Take in one event, as the engine's API has it; what is none of ours is left alone."""
        if not isinstance(event, dict) or not isinstance(actor := event.get("Actor"), dict):
            return
        if not isinstance(facts := actor.get("Attributes"), dict):
            return
        container, server_id = str(actor.get("ID")), facts.get(SERVER)
        action = event.get("Action") or event.get("status")
        with self._lock:
            if action == "kill":
                self._killed.add(container)
                self._cancel(container)
            elif action == "die":
                if container in self._killed:
                    self._killed.discard(container)
                elif isinstance(server_id, str) and _status(facts) == 0:
                    self._doubt(container, server_id)

    def _doubt(self, container: str, server_id: str) -> None:
        """Take a server as ended unless the engine says in a moment that it killed it."""
        self._cancel(container)
        timer = threading.Timer(PATIENCE, self._believe, (container, server_id))
        timer.daemon = True
        self._timers[container] = timer
        timer.start()

    def _believe(self, container: str, server_id: str) -> None:
        with self._lock:
            if self._timers.pop(container, None) is None:
                return
            self._ended.add(server_id)
        log.info("server %s ended by itself", server_id)
        if self._loop is not None:
            with suppress(RuntimeError):  # it is closed: nobody is there any more
                self._loop.call_soon_threadsafe(self._told)

    def _cancel(self, container: str) -> None:
        timer = self._timers.pop(container, None)
        if timer is not None:
            timer.cancel()
            self._killed.discard(container)  # its end was here before its kill

    def _forget_doubtful(self) -> None:
        """Believe no end that came just before the engine went away: it ends them all."""
        with self._lock:
            for container in tuple(self._timers):
                self._cancel(container)
            self._killed.clear()


def _events(chunks: Iterable[object]) -> Iterator[object]:
    """Yield the events of a stream, a line each; what comes after the last line is none.

    docker-py would keep a line that does not end, and read it from its begin at each chunk.

    Raises:
        ValueError: A line is no event, or too long for one.
        RecursionError: A line is nested too deep.
    """
    line = bytearray()
    for chunk in chunks:
        if not isinstance(chunk, bytes | str):
            yield chunk
            continue
        first, *others = (chunk.encode() if isinstance(chunk, str) else chunk).split(b"\n")
        line += first
        for other in others:
            if line.strip():
                yield json.loads(line)
            line = bytearray(other)
        if len(line) > LONGEST:
            raise ValueError("an event has no end")


def _status(facts: Mapping[str, Any]) -> int | None:
    """Return the exit status an event tells; None if it tells none."""
    text = facts.get("exitCode", facts.get("containerExitCode"))
    with suppress(TypeError, ValueError):
        return int(str(text))
    return None
