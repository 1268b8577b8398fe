"""What a server in gVisor reaches: the tests of egress once more, with --runtime=runsc."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.faults.own_engine import OwnEngine
from e2e.test_egress import (  # noqa: F401 - they run here as well
    filtered,
    outside,
    test_on_a_network_of_its_own_a_server_reaches_nobody_but_those_on_it,
    test_with_the_internet_alone_a_server_reaches_nothing_nearer,
)
from requirements import TEST_IMAGE, missing

pytestmark = [
    pytest.mark.docker,
    pytest.mark.xdist_group("egress"),
    pytest.mark.long,
    pytest.mark.gen_test(timeout=240),
]
RUNTIME = "runsc"


@pytest.fixture(scope="module")
def engine() -> Iterator[OwnEngine]:
    made = OwnEngine.running(TEST_IMAGE)
    try:
        if RUNTIME not in made.client.info()["Runtimes"]:
            missing("an engine with the runtime runsc: apt-get install runsc")
        made.runtime = RUNTIME
        yield made
    finally:
        made.close()
