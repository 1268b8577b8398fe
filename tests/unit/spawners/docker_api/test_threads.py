"""The door to the blocking client: few threads, deadlines, and no way to hang."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import requests
import urllib3
from docker.errors import APIError, DockerException
from tornado.ioloop import IOLoop

from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.docker_api.threads import Lane, explain

pytestmark = pytest.mark.gen_test(timeout=30)

LONG = 20.0  # seconds; no test takes that long


@pytest.fixture
def lane(io_loop: IOLoop) -> Iterator[Lane]:
    made = Lane("test", 2)
    yield made
    made.close()


class Held:
    """A job that lasts until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.given_up = False

    def __call__(self, given_up: threading.Event) -> str:
        self.begun.set()
        assert self.go.wait(LONG)
        self.given_up = given_up.is_set()
        return "done"


async def has_begun(held: Held) -> None:
    assert await asyncio.to_thread(held.begun.wait, LONG)


async def test_the_result_of_a_job_comes_back_from_another_thread(lane: Lane) -> None:
    name = await lane.run("x", lambda _: threading.current_thread().name, seconds=LONG)
    assert name.startswith("test-")


async def test_no_more_jobs_run_at_once_than_there_are_workers(lane: Lane) -> None:
    held = [Held() for _ in range(4)]
    jobs = [asyncio.ensure_future(lane.run("x", job, seconds=LONG)) for job in held]
    await has_begun(held[0])
    await has_begun(held[1])
    assert [job.begun.is_set() for job in held] == [True, True, False, False]
    for job in held:
        job.go.set()
    assert await asyncio.gather(*jobs) == ["done"] * 4


async def test_a_job_that_takes_too_long_is_an_error_and_learns_that_it_was_given_up(
    lane: Lane,
) -> None:
    held = Held()
    with pytest.raises(SpawnerError, match=r"listing: Docker did not answer within 0\.05 s"):
        await lane.run("listing", held, seconds=0.05, key="a")
    held.go.set()
    await lane.run("x", lambda _: None, seconds=LONG, key="a")  # waits for the first
    assert held.given_up


async def test_a_cancelled_job_learns_that_it_was_given_up(lane: Lane) -> None:
    held = Held()
    job = asyncio.ensure_future(lane.run("x", held, seconds=LONG, key="a"))
    await has_begun(held)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    held.go.set()
    await lane.run("x", lambda _: None, seconds=LONG, key="a")  # waits for the first
    assert held.given_up


async def test_a_job_that_was_given_up_in_the_queue_never_runs(lane: Lane) -> None:
    busy, waiting = [Held(), Held()], Held()
    jobs = [asyncio.ensure_future(lane.run("x", job, seconds=LONG)) for job in busy]
    await has_begun(busy[0])
    await has_begun(busy[1])
    with pytest.raises(SpawnerError):
        await lane.run("x", waiting, seconds=0.05)
    for job in busy:
        job.go.set()
    await asyncio.gather(*jobs)
    await lane.run("x", lambda _: None, seconds=LONG)
    assert not waiting.begun.is_set()


async def test_jobs_of_one_key_never_overlap_even_if_the_first_was_given_up(lane: Lane) -> None:
    first, second = Held(), Held()
    with pytest.raises(SpawnerError):
        await lane.run("x", first, seconds=0.05, key="a")
    follower = asyncio.ensure_future(lane.run("x", second, seconds=LONG, key="a"))
    assert await lane.run("x", lambda _: "free", seconds=LONG, key="b") == "free"
    assert not second.begun.is_set()
    first.go.set()
    await has_begun(second)
    second.go.set()
    assert await follower == "done"


async def test_waiting_for_a_job_of_the_same_key_has_a_deadline_too(lane: Lane) -> None:
    first, second = Held(), Held()
    with pytest.raises(SpawnerError):
        await lane.run("x", first, seconds=0.05, key="a")
    with pytest.raises(SpawnerError, match="removing: Docker did not answer"):
        await lane.run("removing", second, seconds=0.05, key="a")
    first.go.set()
    await lane.run("x", lambda _: None, seconds=LONG, key="a")
    assert not second.begun.is_set()


async def test_the_loop_goes_on_while_all_threads_are_stuck(lane: Lane) -> None:
    held = [Held(), Held()]
    jobs = [asyncio.ensure_future(lane.run("x", job, seconds=LONG)) for job in held]
    for job in held:
        await has_begun(job)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(job.done() for job in jobs)
    for job in held:
        job.go.set()
    await asyncio.gather(*jobs)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (DockerException("bad\nnews"), "bad news"),
        (APIError("x", explanation="no such container: abc"), "no such container: abc"),
        (requests.ConnectionError("connection broken"), "connection broken"),
        (requests.ReadTimeout("HTTPConnectionPool(...) long words"), "no answer in time"),
        (urllib3.exceptions.ProtocolError("half an answer"), "half an answer"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (requests.exceptions.JSONDecodeError("no JSON", "x", 0), "no JSON"),
    ],
)
async def test_what_the_client_raises_becomes_one_line_with_its_cause(
    lane: Lane, fault: Exception, words: str
) -> None:
    def job(_: object) -> None:
        raise fault

    with pytest.raises(SpawnerError) as raised:
        await lane.run("starting server x", job, seconds=LONG)
    assert str(raised.value).startswith("starting server x: ")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is fault


@pytest.mark.parametrize("error", [ConfigError("--image"), SpawnerError("ended")])
async def test_our_own_errors_pass_unchanged(lane: Lane, error: Exception) -> None:
    def job(_: object) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await lane.run("x", job, seconds=LONG)
    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [KeyError("bug"), StopIteration("bug"), SystemExit("bug"), KeyboardInterrupt("bug")],
    ids=lambda e: type(e).__name__,
)
async def test_a_bug_in_a_job_is_a_failure_that_names_it(lane: Lane, error: BaseException) -> None:
    def job(_: object) -> None:
        raise error

    with pytest.raises(SpawnerError, match=f"x: unexpected .*{type(error).__name__}:? .*bug"):
        await lane.run("x", job, seconds=LONG)


async def test_a_closed_lane_takes_no_jobs_and_drops_those_that_wait(lane: Lane) -> None:
    busy, waiting = [Held(), Held()], Held()
    jobs = [asyncio.ensure_future(lane.run("x", job, seconds=LONG)) for job in (*busy, waiting)]
    await has_begun(busy[0])
    await has_begun(busy[1])
    lane.close()
    with pytest.raises(SpawnerError, match="closed"):
        await jobs[2]
    with pytest.raises(SpawnerError, match="closed"):
        await lane.run("x", lambda _: None, seconds=LONG)
    for job in busy:
        job.go.set()
    assert await asyncio.gather(*jobs[:2]) == ["done", "done"]
    assert not waiting.begun.is_set()


async def test_an_error_that_wraps_others_is_explained_by_the_systems_own() -> None:
    wrapped = requests.ConnectionError("HTTPConnectionPool(host=...)")
    wrapped.__context__ = urllib3.exceptions.ProtocolError("Connection aborted.")
    wrapped.__context__.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert explain(wrapped) == "Connection refused"


async def test_a_long_explanation_is_cut() -> None:
    assert len(explain(DockerException("x" * 10_000))) == 300


async def test_a_stuck_thread_does_not_keep_the_program_from_ending() -> None:
    program = """
import asyncio, threading
from tmpnb.errors import SpawnerError
from tmpnb.spawners.docker_api.threads import Lane

async def main():
    lane = Lane("test", 1)
    try:
        await lane.run("x", lambda _: threading.Event().wait(), seconds=0.1)
    except SpawnerError as error:
        print(error)
    lane.close()

asyncio.run(main())
"""
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=True,
    )
    assert ended.stdout == "x: Docker did not answer within 0.1 s\n"
    assert ended.stderr == ""
