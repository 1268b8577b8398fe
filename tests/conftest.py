"""Fixtures that any test may want."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack

import docker
import pytest
from tornado.ioloop import IOLoop

from tests.support.docker_stand_in import Engine, StandIn
from tests.support.running_site import Running
from tmpnb.system.http.client import MAX_ANSWER, Client

pytest_plugins = [
    "tests.support.evidence",
    "tests.support.shards.plugin",
    "tests.support.time_by_file",
]


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lasts as long as the run: the tests and their modules."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests were asked to tell, by `record_property("told", …)`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(str(value))


@pytest.fixture(scope="session", autouse=True)
def first_loop() -> Iterator[None]:
    """Have a loop from the start, so that none is made by the way and never closed."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Let programs that tests start hear Ctrl-C: those that a shell has put behind it do not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def shared_podman() -> Iterator[None]:
    """End the Podman that tests share, if one of them has started it."""
    yield
    if module := sys.modules.get("tests.support.engines.podman"):
        module.end_shared()


@pytest.fixture
def client(io_loop: IOLoop) -> Iterator[Client]:
    """Return an HTTP client of the test's own loop."""

    async def make() -> Client:
        return Client(MAX_ANSWER)

    made: Client = io_loop.run_sync(make)
    yield made
    made.close()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """Return a pretended Docker engine."""
    made = Engine()
    yield made.state
    made.close()


@pytest.fixture
def docker_client(stand_in: StandIn) -> Iterator[docker.APIClient]:
    """Return a client of that engine."""
    made = docker.APIClient(base_url=stand_in.url, version="1.41", timeout=10)
    yield made
    made.close()


@pytest.fixture
def running(io_loop: IOLoop) -> Iterator[Running]:
    """Return a site with three ready servers."""
    stack = AsyncExitStack()

    async def start() -> Running:
        made = Running(3, stack)
        await made.start()
        return made

    yield io_loop.run_sync(start)
    io_loop.run_sync(stack.aclose)
