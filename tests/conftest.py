"""Fixtures that any test may want."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop

from tmpnb.http import Client


@pytest.fixture
def client(io_loop: IOLoop) -> Iterator[Client]:
    """Return an HTTP client of the test's own loop."""

    async def make() -> Client:
        return Client()

    made: Client = io_loop.run_sync(make)
    yield made
    made.close()
