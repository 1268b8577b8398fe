"""Fixtures of the end-to-end tests: a browser, the real engine, a site of pages without a pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from docker_engine import RealEngine
from e2e.browser import chromium
from e2e.pages_site import PagesSite
from playwright.async_api import Browser
from requirements import missing
from tornado.ioloop import IOLoop

DEADLINE = 60.0  # seconds to start or stop a browser


@pytest.fixture
def browser(io_loop: IOLoop) -> Iterator[Browser]:
    stack = AsyncExitStack()
    yield io_loop.run_sync(lambda: stack.enter_async_context(chromium()), timeout=DEADLINE)
    io_loop.run_sync(stack.aclose, timeout=DEADLINE)


@pytest.fixture
def engine() -> Iterator[RealEngine]:
    """Return the engine; what the test labels as its own there is removed after it."""
    made = RealEngine.needed(missing)
    yield made
    made.remove_all()


@pytest.fixture
def site(io_loop: IOLoop) -> Iterator[PagesSite]:
    running = PagesSite()

    async def start() -> object:
        return running.start()

    server = io_loop.run_sync(start)
    yield running
    server.stop()
    io_loop.run_sync(server.close_all_connections)
