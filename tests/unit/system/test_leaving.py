"""The program ends, whatever hangs in a thread or a task that a driver left behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tmpnb.system import leaving

HEAD = """
import asyncio, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from tmpnb.system import leaving
from tmpnb.errors import ConfigError
leaving.PATIENCE = 0.3

async def begun(work):
    task = asyncio.create_task(work)
    await asyncio.sleep(0.05)
    return task

async def hangs():
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass
"""
DEFAULT_THREAD = "task = await begun(asyncio.to_thread(time.sleep, 600)); task.cancel()"
STUBBORN_TASK = "task = await begun(hangs())"
OWN_THREAD = "ThreadPoolExecutor(1).submit(time.sleep, 600)"


def ended(work: str, end: str = "print('done')") -> subprocess.CompletedProcess[str]:
    """Return how a program ended, whose work this is."""
    code = f"""{HEAD}
async def main():
    {work}
    {end}

with leaving.left_in_time(is_program=True):
    try:
        leaving.run(main())
    except ConfigError as error:
        sys.exit(f"tmpnb: {{error}}")
"""
    return subprocess.run(  # noqa: S603 - this test's own code
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.parametrize("work", [DEFAULT_THREAD, STUBBORN_TASK, OWN_THREAD])
def test_what_hangs_does_not_keep_the_program(work: str) -> None:
    found = ended(work)
    assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr
    assert "leaving all the same" in found.stderr


@pytest.mark.parametrize("work", [DEFAULT_THREAD, STUBBORN_TASK, OWN_THREAD])
def test_what_is_wrong_is_said_all_the_same(work: str) -> None:
    found = ended(work, end="raise ConfigError('mend it')")
    assert found.returncode == 1
    assert found.stderr.count("tmpnb: mend it\n") == 1


def test_a_program_of_which_nothing_is_left_ends_at_once_and_without_a_word() -> None:
    found = ended("pass")
    assert (found.returncode, found.stdout, found.stderr) == (0, "done\n", "")


def test_a_run_gives_what_it_did_and_leaves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = []
    leave = leaving.leave_in_time

    def noted(error: BaseException | None) -> object:
        timers.append(leave(error))
        return timers[-1]

    monkeypatch.setattr(leaving, "leave_in_time", noted)
    assert leaving.run(asyncio.sleep(0, "done")) == "done"
    (timer,) = timers
    assert timer.finished.is_set(), "cancelled"
