"""The system's clock jumps by an hour: nobody's notebook ages by that."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.faults.run import Run
from tests.e2e.running_service import Service, ask
from tests.support.engines.contract import STUB, stub_command, wait_until
from tests.support.requirements import missing

pytestmark = [pytest.mark.faults, pytest.mark.chp, pytest.mark.gen_test(timeout=240)]

HOUR = 3600
LIBRARIES = "usr/lib/*/faketime/libfaketimeMT.so.1"
SHARED = Path("/dev/shm")  # noqa: S108 - where the library keeps files of its own
PAUSE = 0.2  # seconds between two uses of a notebook

# Makes a stub that says when it was used last, in place of one that always is in use.
TELLING = """
USED = [time.time()]
class Telling(Stub):
    def do_GET(self):
        path = self.path.removeprefix(BASE_URL)
        USED[0] = time.time() if path == "about" else USED[0]
        if path.startswith("api/kernels"):
            return self.answer(200, [])
        if path != "api/status":
            return super().do_GET()
        used = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(USED[0]))
        self.answer(200, {"last_activity": used})
"""
BEGIN, SERVED = 'say("stub is starting")', "(IP, PORT), Stub)"


class FakedClock:
    """What the processes under libfaketime take for the time; only the wall clock jumps."""

    def __init__(self, library: Path, file: Path) -> None:
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # it delays what waits with a timeout
            "NO_FAKE_STAT": "1",
        }
        self._file = file
        self.jump_to(0)

    def jump_to(self, seconds: int) -> None:
        """Put the clock so many seconds off the true time."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._file)

    @property
    def command(self) -> str:
        """The command of a stub that lives by it."""
        assert STUB.count(BEGIN) == STUB.count(SERVED) == 1
        stub = STUB.replace(SERVED, "(IP, PORT), Telling)").replace(BEGIN, TELLING + BEGIN)
        variables = shlex.join(f"{name}={value}" for name, value in self.environment.items())
        return f"env {variables} {stub_command(sys.executable).replace(STUB, stub)}"


@pytest.fixture
def clock(local_run: Run) -> Iterator[FakedClock]:
    found = sorted(Path("/").glob(LIBRARIES))
    if not found:
        missing("libfaketime: apt-get install faketime")
    before = left_by_the_library()
    yield FakedClock(found[0], local_run.directory / "clock")
    for path in left_by_the_library() - before:
        path.unlink(missing_ok=True)


def left_by_the_library() -> set[Path]:
    """Return the files that it leaves behind for each process that was killed."""
    return {
        p for p in SHARED.glob("*faketime*") if not Path("/proc", p.name.split("_")[-1]).exists()
    }


@asynccontextmanager
async def in_use(service: Service, url: str) -> AsyncIterator[None]:
    """Use a notebook within the block, again and again."""

    async def use() -> None:
        while True:  # until it is cancelled at the end of the block
            assert (await ask(service.client, url, "about")).code == 200
            await asyncio.sleep(PAUSE)

    using = asyncio.create_task(use())
    try:
        yield
        assert not using.done(), "the notebook in use does not answer"
    finally:
        using.cancel()
        await asyncio.wait({using})


async def passes(service: Service, count: int) -> None:
    """Return after so many more good looks at engine and proxy."""
    seen: set[float] = set()

    async def enough() -> bool:
        answer = await service.client.fetch(f"{service.own_url}/health", timeout=20)
        seen.add(json.loads(answer.body)["last_pass"])
        return len(seen) > count

    await wait_until(enough, f"{count} passes")


def flags(clock: FakedClock, cull_timeout: int) -> list[str]:
    settings = {
        "pool-size": 3,
        "min-ready": 1,
        "cull-period": 0.3,
        "cull-timeout": cull_timeout,
        "cull-max": HOUR // 2,
        "ready-max-age": HOUR // 2,
        "command": clock.command,
    }
    return [f"--{name}={value}" for name, value in settings.items()]


async def two_visitors(service: Service) -> tuple[str, str]:
    """Return the URLs of two notebooks, taken one after the other."""
    await service.until_ready(1)
    first = await service.take("/lab")
    await service.until_ready(1)
    second = await service.take("/lab")
    await service.until_ready(1)
    return first, second


async def with_both_claims(run: Run) -> dict[str, bool]:
    """Return the servers, and whether each is marked as claimed, once both claims are written."""

    async def both() -> bool:
        return sum(run.census.instances().values()) == 2

    await wait_until(both, "both claims in the engine")
    return run.census.instances()


@pytest.mark.parametrize("hours", [1, -1], ids=["forward_and_back", "back_and_forward"])
async def test_clock_that_jumps_ends_no_notebook(
    local_run: Run, clock: FakedClock, hours: int
) -> None:
    run, environment = local_run, clock.environment
    async with run.serving(*flags(clock, HOUR // 4), env=environment) as service:
        urls = await two_visitors(service)
        before = await with_both_claims(run)
        async with in_use(service, urls[0]):
            for away in (hours * HOUR, 0):
                clock.jump_to(away)
                await passes(service, 4)
                await run.whole(service, *urls, available=1)
                assert run.census.instances() == before
        assert "the system's clock jumped" in service.log.read_text()


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
async def test_idle_notebooks_end_in_true_time_after_the_clock_has_jumped(
    local_run: Run, clock: FakedClock, hours: int
) -> None:
    run, environment = local_run, clock.environment
    async with run.serving(*flags(clock, 3), env=environment) as service:
        used, idle = await two_visitors(service)
        async with in_use(service, used):
            clock.jump_to(hours * HOUR)
            await service.until(lambda s: s["claimed"] == 1, "the idle one is ended")
            await run.whole(service, used, available=1)
        assert f"id={idle.split('/')[4]} from=claimed to=stopping reason=idle" in (
            service.log.read_text()
        )
