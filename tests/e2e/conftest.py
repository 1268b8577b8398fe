"""Fixtures of the end-to-end tests: a browser, the real engine, a site of pages without a pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Browser
from tornado.ioloop import IOLoop

from tests.e2e.browser.browser import chromium
from tests.e2e.browser.pages_site import PagesSite
from tests.support.engines.docker import RealEngine
from tests.support.requirements import missing

DEADLINE = 60.0  # seconds to start or stop a browser


class Browsers:
    """The Chromium that tests share, as to start one takes longer than most of them."""

    def __init__(self, loop: IOLoop) -> None:
        self._loop, self._stack = loop, AsyncExitStack()
        self._running: Browser | None = None

    def one(self) -> Browser:
        """Return one that runs, another than before if that has crashed."""
        if self._running is None or not self._running.is_connected():
            self._running = self._loop.run_sync(self._start, timeout=DEADLINE)
        return self._running

    async def _start(self) -> Browser:
        return await self._stack.enter_async_context(chromium())

    def close(self) -> None:
        self._loop.run_sync(self._stack.aclose, timeout=DEADLINE)


def _again(loop: IOLoop) -> Iterator[IOLoop]:
    loop.make_current()
    yield loop


def _loop() -> Iterator[IOLoop]:
    loop = IOLoop()
    loop.make_current()
    yield loop
    loop.clear_current()
    loop.close(all_fds=True)


@pytest.fixture(scope="session")
def browser_loop() -> Iterator[IOLoop]:
    """Return the loop of all tests with a browser, which belongs to the loop it was started in."""
    yield from _loop()


@pytest.fixture
def io_loop(request: pytest.FixtureRequest) -> Iterator[IOLoop]:
    """Return the browser's loop to those who use the browser, and to others one of their own."""
    with_browser = {"browser_loop", "browser"} & set(request.fixturenames)
    yield from _again(request.getfixturevalue("browser_loop")) if with_browser else _loop()


@pytest.fixture(scope="session")
def browsers(browser_loop: IOLoop) -> Iterator[Browsers]:
    made = Browsers(browser_loop)
    yield made
    made.close()


@pytest.fixture
def browser(io_loop: IOLoop, browsers: Browsers) -> Iterator[Browser]:
    """Return a Chromium in which nothing is open; each context of it is a visitor of its own."""
    found = browsers.one()
    yield found
    for context in found.contexts:
        io_loop.run_sync(context.close, timeout=DEADLINE)


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
