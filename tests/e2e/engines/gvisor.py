"""An engine of the tests, told to run their servers in gVisor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from tests.support.engines.docker import RealEngine
from tests.support.requirements import missing

RUNTIME = "runsc"

E = TypeVar("E", bound=RealEngine)


@contextmanager
def in_gvisor(made: E, end: Callable[[], None]) -> Iterator[E]:
    """Give an engine, which ends what it has begun at the end; without the runtime, skip."""
    with ExitStack() as stack:
        stack.callback(end)
        if RUNTIME not in made.client.info()["Runtimes"]:
            missing("an engine with the runtime runsc: apt-get install runsc")
        made.runtime = RUNTIME
        yield made
