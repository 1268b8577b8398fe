"""Two orchestrators on one pool, and a disk that is full."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.faults.run import Run
from tests.e2e.running_service import START, Service, until_true
from tests.support.engines.contract import wait_until
from tests.support.requirements import missing
from tmpnb.errors import UnreachableError
from tmpnb.system.process import send

pytestmark = [pytest.mark.faults, pytest.mark.chp, pytest.mark.gen_test(timeout=240)]

BLOCK = 4096  # bytes; a small file system counts in them


async def said_at_exit(service: Service) -> str:
    """Run a program that must refuse; return its one line."""
    await service.start()
    assert service.process is not None
    assert await asyncio.wait_for(service.process.wait(), START) == 1, service.tail()
    service.client.close()
    said = service.log.read_text()
    lines = [line for line in said.splitlines() if line.startswith("tmpnb: ")]
    assert said.splitlines()[-1:] == lines, said
    return lines[0]


@pytest.mark.docker
@pytest.mark.parametrize("state", ["state", "state-b"], ids=["same_directory", "another_directory"])
async def test_second_orchestrator_on_a_pool_refuses_and_harms_nobody(run: Run, state: str) -> None:
    async with run.serving("--pool-size=2") as first:
        await first.until_ready(2)
        url = await first.take("/lab")
        await run.whole(first, url, available=1)
        before = run.census.instances()
        log = run.directory / "second.log"
        second = run.service("--stop-servers-on-exit", "--pool-size=2", state=state, log=log)
        line = await said_at_exit(second)
        assert run.token in line
        assert "--pool-name" in line
        await run.whole(first, url, available=1)
        assert run.census.instances() == before


@contextmanager
def small_disk(path: Path, kilobytes: int) -> Iterator[None]:
    """Mount a file system of this size at `path`, which is there; its files go with it."""
    if os.geteuid() != 0:
        missing("root, to mount a small file system")
    options = f"size={kilobytes}k,mode=700"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpnb-faults", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if mounted.returncode:
        missing(f"the right to mount a small file system: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)  # noqa: S603, S607 - fixed words


@contextmanager
def full(path: Path) -> Iterator[None]:
    """Within the block, leave no room in the small file system at `path`, come what may."""
    filler, over, is_full = path / "filler", threading.Event(), threading.Event()

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            while not over.wait(0.01 if is_full.is_set() else 0):
                try:
                    file.write(b"x" * BLOCK)
                except OSError:
                    is_full.set()

    filling = threading.Thread(target=fill)
    filling.start()
    try:
        assert is_full.wait(START), f"{path} does not become full"
        yield
    finally:
        over.set()
        filling.join()
        filler.unlink()


async def test_full_disk_at_the_first_start_is_one_clear_line(local_run: Run) -> None:
    service = local_run.service()
    with small_disk(service.state_dir, 64):
        with full(service.state_dir):
            line = await said_at_exit(service)
        assert str(service.state_dir) in line
        assert "No space left" in line
        assert "--state-dir" in line
        local_run.nothing_left()


@pytest.mark.docker
async def test_full_disk_keeps_neither_visitors_nor_the_proxy_from_working(run: Run) -> None:
    service = run.service(
        "--stop-servers-on-exit",
        "--pool-size=4",
        "--min-ready=1",
        constants={"tmpnb.proxy.managed.SILENCE": 6.0},
    )
    with small_disk(service.state_dir, 64):
        async with run.started(service):
            await service.until_ready(1)
            record, told = service.state_dir / "proxy.json", "cannot write"
            with full(service.state_dir):
                first = await service.take("/lab")
                send(service.proxy_child(), signal.SIGKILL)
                await until_true(lambda: told in service.log.read_text(), "the new one is told of")
                await wait_until(lambda: serves(service), "the proxy leads to us again")
                assert told in await service.until_trouble("state")
                await service.until_alone("state")
                second = await service.take("/lab")
            await until_true(record.exists, "the record is written once there is room")
            await run.whole(service, first, second, available=1)
            run.said_once(service, told)
            await service.stop(signal.SIGKILL)
            await service.start()
            await run.whole(service, first, second, available=1)


async def serves(service: Service) -> bool:
    """Whether the proxy answers, with a server ready."""
    with suppress(UnreachableError):
        return int((await service.stats())["available"]) > 0
    return False


async def test_full_disk_fails_starts_of_local_servers_and_they_come_again(local_run: Run) -> None:
    run = local_run
    with small_disk(run.directory / "tmp", 512):
        async with run.serving("--pool-size=3", "--min-ready=1") as service:
            await service.until_ready(1)
            with full(run.directory / "tmp"):
                url = await service.take("/lab")
                told = await service.until_trouble("start")
                assert "No space left" in told
                assert await run.opens(service, url)
            await run.whole(service, url, available=1)
            run.said_once(service, told)
