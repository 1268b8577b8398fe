"""What pytest does for shards: the order of tests, the wait for the engine, one failure for all.

Quick tests come first, as they say most for their time; then what needs no engine, while the images
are still being built; then the long tests with an engine, so that no shard ends with one of them;
then the others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.network_namespace import Network

REAL_PARTS = {"docker", "podman", "chp", "local", "browser"}
ENGINES = {"docker", "podman"}
STATE = Path("/run/tmpnb-engine")
DEADLINE = 1000.0  # seconds until the engine's state is known
PAUSE = 0.05  # seconds between two looks
THE_MACHINE = "machine"  # where there are no shards, tests with real parts take turns on it


def in_shard() -> bool:
    """Whether this process is the worker of a shard."""
    return "TMPNB_SHARD" in os.environ


def marks(item: pytest.Item) -> set[str]:
    """Return the names of an item's marks."""
    return {mark.name for mark in item.iter_markers()}


def rank(item: pytest.Item) -> int:
    """Return the place of an item's kind in the order."""
    found = marks(item)
    if not REAL_PARTS & found:
        return 1 if "long" in found else 0
    if not ENGINES & found:
        return 2
    return 3 if "long" in found else 4


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Join the network of the shard; the connections to the giver of tests were made before."""
    del session
    if in_shard():
        Network.join(os.environ["TMPNB_SHARD_NETWORK"])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order, and together what must not run side by side."""
    items.sort(key=rank)
    for item in items:
        if REAL_PARTS & marks(item):
            item.add_marker(pytest.mark.flaky(reruns=1))  # which the summary shows: decision 20
            if not in_shard():
                item.add_marker(pytest.mark.xdist_group(THE_MACHINE))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Wait until the shard's engine is there, for those who need it."""
    if in_shard() and ENGINES & marks(item) and (trouble := until_engine()):
        pytest.fail(trouble, pytrace=False)


def until_engine() -> str:
    """Return nothing once the engine of this shard is ready, or why it is not."""
    deadline = time.monotonic() + DEADLINE
    while not STATE.exists():
        if time.monotonic() > deadline:
            return f"nothing is known of the shard's engine after {DEADLINE:g} s"
        time.sleep(PAUSE)
    said = STATE.read_text()
    return "" if said == "ready" else said


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """End the whole run when a quick test has failed in a shard."""
    report = yield
    if report.failed and in_shard() and not REAL_PARTS & marks(item):
        item.session.shouldfail = "a quick test failed, so those with real parts are left out"
    return report
