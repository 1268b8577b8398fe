"""The one door to the blocking Docker client: few threads, and a deadline on each call.

The threads are daemons, unlike those of `concurrent.futures`: one that hangs in a
stalled socket can neither keep `close` nor the end of the program waiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

import requests
import urllib3
from docker.errors import APIError, DockerException

from tmpnb.errors import SpawnerError
from tmpnb.system.border import Border

# Whatever the client raises when the engine refuses, goes away or talks nonsense.
FAULTS = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)

LONGEST_EXPLANATION = 300  # characters
CLOSED = "the Docker spawner is closed"

T = TypeVar("T")

# A job gets the event that says nobody waits for it any more.
Job = Callable[[threading.Event], T]


class Lane:
    """At most `workers` blocking jobs at once; a job takes and returns plain values."""

    def __init__(self, name: str, workers: int) -> None:
        self._name = name
        self._workers = workers
        self._threads: list[threading.Thread] = []
        self._jobs: SimpleQueue[tuple[Future[object], Callable[[], object]] | None] = SimpleQueue()
        self._current: dict[str, Future[object]] = {}  # by key, the job that runs or waits
        self._closed = False
        self._border = Border(SpawnerError)

    async def run(self, what: str, job: Job[T], *, seconds: float, key: str | None = None) -> T:
        """Return what `job` returns.

        Args:
            what: Words for the error message, like "starting server x".
            job: Runs in a thread. It should look at its event between two requests:
                once that is set, its result is thrown away.
            seconds: How long to wait, the time in the queue included.
            key: Jobs of the same key never overlap, even if nobody waits for the first.

        Raises:
            SpawnerError: The engine refused, there was no answer in time, or `job` raised
                what it should not.
        """
        given_up = threading.Event()
        try:
            with self._border.crossing(what, expected=FAULTS):
                async with asyncio.timeout(seconds):
                    await self._others_done(key)
                    return await asyncio.wrap_future(self._submit(job, given_up, key))
        except TimeoutError as error:
            raise SpawnerError(f"{what}: Docker did not answer within {seconds:g} s") from error
        except FAULTS as error:
            raise SpawnerError(f"{what}: {explain(error)}") from error
        finally:
            given_up.set()
            self._forget_done(key)

    def close(self) -> None:
        """Take no more jobs, drop those that wait, let go of the threads without waiting."""
        self._closed = True
        while True:
            try:
                waiting = self._jobs.get_nowait()
            except Empty:
                break
            if waiting is not None and waiting[0].set_running_or_notify_cancel():
                waiting[0].set_exception(SpawnerError(CLOSED))
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()

    async def _others_done(self, key: str | None) -> None:
        while key is not None and (earlier := self._current.get(key)) and not earlier.done():
            waiting = asyncio.wrap_future(earlier)
            waiting.add_done_callback(_ignore_outcome)
            await asyncio.wait([waiting])  # unlike a bare await it cancels nothing

    def _forget_done(self, key: str | None) -> None:
        if key is not None and (job := self._current.get(key)) and job.done():
            del self._current[key]

    def _submit(self, job: Job[T], given_up: threading.Event, key: str | None) -> Future[T]:
        if self._closed:
            raise SpawnerError(CLOSED)
        future: Future[T] = Future()
        if key is not None:
            self._current[key] = future  # type: ignore[assignment]  # only asked whether done
        self._jobs.put((future, lambda: job(given_up)))  # type: ignore[arg-type]  # same T inside
        if len(self._threads) < self._workers:
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future


def explain(error: BaseException) -> str:
    """Return the cause of a client's error in one line."""
    if isinstance(error, APIError) and error.explanation:
        text = str(error.explanation)
    elif isinstance(error, requests.Timeout):
        text = "no answer in time"
    else:
        cause = root_cause(error)
        text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(text.split())[:LONGEST_EXPLANATION]


def root_cause(error: BaseException) -> BaseException:
    """Return the system's own error below those that wrap it, else the innermost one."""
    seen = {id(error)}
    while not (isinstance(error, OSError) and error.errno is not None):
        inner = error.__cause__ or error.__context__
        if inner is None or id(inner) in seen:
            break
        seen.add(id(inner))
        error = inner
    return error


def _work(jobs: SimpleQueue[tuple[Future[object], Callable[[], object]] | None]) -> None:
    while (waiting := jobs.get()) is not None:
        future, job = waiting
        if future.set_running_or_notify_cancel():
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the job
                future.set_exception(_failed(error))
            else:
                future.set_result(result)
        del waiting, future, job


def _failed(error: BaseException) -> Exception:
    """Return what a job raised as a failure of that job: what would end a program ends no loop.

    Nor can a future have `StopIteration`: whoever awaits it would never hear of it.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(f"{type(error).__name__} {error}".strip())
    failure.__cause__ = error
    return failure


def _ignore_outcome(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()
