"""Processes: told apart from later ones of their pid, found with their kin, and ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from tmpnb.system import process
from tmpnb.system.process import Process

pytestmark = pytest.mark.gen_test(timeout=30)

MARK = f"TMPNB_TEST_MARK={os.getpid()}"

# Starts a relative that only one thing can betray, and says its pid.
FAMILY = """
import os, subprocess, sys
word = sys.argv[1]
SLEEP = "exec sleep 600"
if word == "mark":  # its parent and its session are gone
    print(subprocess.Popen(["sh", "-c", SLEEP], start_new_session=True).pid, flush=True)
    sys.exit()
if word == "session":  # its parent is gone, and so is its mark
    os.system(f"env -i sh -c '{SLEEP}' >/dev/null & echo $!")
if word == "parent":  # it has left the session and dropped the mark
    print(subprocess.Popen(["sh", "-c", SLEEP], start_new_session=True, env={}).pid, flush=True)
if word == "memory":  # and outlives its parent, which does not outlive the polite signal
    stubborn = "trap : TERM; echo $$; while :; do sleep 600; done"
    subprocess.Popen(["sh", "-c", stubborn], start_new_session=True, env={})
sys.stdout.close()
import signal
signal.pause()
"""

WAIT = "import signal; print('born', flush=True); signal.pause()"

# One child uses half a second of CPU time and is waited for, another as much and lives on.
BUSY = """
import signal, subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.5: pass\\n"
subprocess.run([sys.executable, "-c", burn], check=True)
burn += "print('done', flush=True)\\nimport signal; signal.pause()"
subprocess.Popen([sys.executable, "-c", burn])
signal.pause()
"""

# Starts a Python with these arguments, in a session of its own and with the mark.
Start = Callable[..., "subprocess.Popen[str]"]


def known(pid: int) -> Process:
    found = process.find(pid)
    assert found is not None
    return found


def marked_roots() -> set[Process]:
    return process.marked(MARK)


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: str) -> subprocess.Popen[str]:
        name, _, value = MARK.partition("=")
        child = subprocess.Popen(  # noqa: S603 - this test's own code
            [sys.executable, "-c", code, *arguments],
            env=dict(os.environ, **{name: value}),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(child)
        return child

    yield run
    for child in started:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_a_process_is_not_the_later_one_of_its_pid() -> None:
    me = known(os.getpid())
    assert process.is_running(me)
    assert not process.is_running(replace(me, born=f"{me.born}0"))


def test_a_zombie_does_not_run(start: Start) -> None:
    child = start(WAIT)
    first_line(child)
    born = known(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped
    assert not process.is_running(born)
    assert process.find(child.pid) is None


FIRST_THREAD_ENDS = """
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
exit_of_a_thread = {"x86_64": 60, "aarch64": 93}[platform.machine()]
print("up", flush=True)
ctypes.CDLL(None).syscall(exit_of_a_thread, 0)
"""


async def test_a_process_runs_until_its_last_thread_has_ended(start: Start) -> None:
    """Its files and ports are still its own when the first has, as at the end of a busy one."""
    child = start(FIRST_THREAD_ENDS)
    first_line(child)
    born = known(child.pid)
    stat = process.PROC / str(child.pid) / "stat"
    async with asyncio.timeout(30):
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            await asyncio.sleep(0.01)
    assert process.is_running(born)
    assert await process.end(lambda: {born}, grace=5, patience=10) == set()
    assert not process.is_running(born)


def test_a_pid_of_nobody_is_found_by_nobody() -> None:
    assert process.find(2**22 + 1) is None


def test_a_signal_never_reaches_a_later_process_of_the_pid(start: Start) -> None:
    child = start(WAIT)
    first_line(child)
    born = known(child.pid)
    process.send(replace(born, born="earlier"), signal.SIGKILL)
    assert child.poll() is None
    process.send(born, signal.SIGKILL)
    assert child.wait(timeout=10) == -signal.SIGKILL
    process.send(born, signal.SIGKILL)  # gone: nothing happens


def test_cpu_time_is_that_of_all_kin_also_of_those_that_ended(start: Start) -> None:
    busy, idle = start(BUSY), start(WAIT)
    assert (first_line(busy), first_line(idle)) == ("done", "born")
    assert process.cpu_seconds({known(busy.pid)}) > 0.9
    assert process.cpu_seconds({known(idle.pid)}) < 0.5
    assert process.cpu_seconds(set()) == 0


@pytest.mark.parametrize("word", ["mark", "session", "parent", "memory"])
async def test_every_kind_of_relative_is_ended(start: Start, word: str) -> None:
    child = start(FAMILY, word)
    relative = known(int(first_line(child)))
    if word == "mark":
        child.wait()

    left = await process.end(marked_roots, grace=0.5, patience=20)
    assert left == set()
    assert not process.is_running(relative)
    child.wait()


async def test_one_that_ignores_the_polite_signal_is_killed(start: Start) -> None:
    child = start(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('born', flush=True); signal.pause()"
    )
    first_line(child)
    assert await process.end(marked_roots, grace=0.1, patience=20) == set()
    assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("how", ["start_new_session=True", "env={}"])
async def test_one_that_breeds_when_it_ends_is_ended_with_its_brood(start: Start, how: str) -> None:
    child = start(
        "import os, signal, subprocess, sys\n"
        "def breed(*_):\n"  # may come within a print, which cannot be entered twice
        f"    born = subprocess.Popen(['/bin/sleep', '600'], {how}).pid\n"
        "    os.write(1, b'%d\\n' % born)\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, breed)\n"
        "print('born', flush=True)\n"
        "signal.pause()"
    )
    first_line(child)
    assert await process.end(marked_roots, grace=5, patience=20) == set()
    assert process.find(int(first_line(child))) is None


async def test_one_that_ends_politely_is_not_killed(start: Start) -> None:
    child = start(WAIT)
    first_line(child)
    assert await process.end(marked_roots, grace=20, patience=20) == set()
    assert child.wait() == -signal.SIGTERM


async def test_what_does_not_end_is_told(start: Start) -> None:
    child = start(WAIT)
    first_line(child)
    born = known(child.pid)
    assert await process.end(lambda: {born}, grace=5, patience=-1) == {born}
    assert process.is_running(born)


async def test_nobody_to_end_is_no_work() -> None:
    assert await process.end(set, grace=5, patience=20) == set()


async def test_this_process_and_its_session_are_never_ended() -> None:
    me, parent = known(os.getpid()), known(os.getppid())
    assert await process.end(lambda: {me, parent}, grace=5, patience=20) == set()
    assert process.is_running(parent)


def test_the_mark_must_be_whole(start: Start) -> None:
    child = start(WAIT)
    first_line(child)
    assert known(child.pid) in process.marked(MARK)
    assert process.marked(MARK[:-1]) == set()
    assert process.marked(MARK[1:]) == set()
