"""Fixtures of the fault suite: a run on the machine's Docker engine, and one without."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.e2e.faults.run import Run
from tests.support.engines.docker import RealEngine
from tests.support.requirements import missing


@pytest.fixture
def run() -> Iterator[Run]:
    """A run whose servers are containers of this machine's engine."""
    engine = RealEngine.needed(missing)
    made = Run(engine, engine.run)
    yield made
    made.close()
    engine.remove_all()


@pytest.fixture
def local_run() -> Iterator[Run]:
    """A run whose servers are processes."""
    made = Run(None, f"local-{secrets.token_hex(6)}")
    yield made
    made.close()
