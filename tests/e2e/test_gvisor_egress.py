"""What a server in gVisor reaches: the tests of egress once more, with --runtime=runsc."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from e2e.faults.own_engine import OwnEngine
from e2e.test_egress import (  # noqa: F401 - they run here as well
    NEIGHBOURS,
    PAST_ROUTES,
    all_listen,
    filtered,
    neighbours,
    outside,
    run_inside,
    servers,
    test_on_a_network_of_its_own_a_server_reaches_nobody_but_those_on_it,
    test_with_the_internet_alone_a_server_reaches_nothing_nearer,
    two_servers,
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


async def test_a_server_takes_no_place_in_the_machine_s_table_of_neighbours(
    engine: OwnEngine,
    outside: list[str],  # noqa: F811 - as above
) -> None:
    del outside
    async with two_servers(engine, docker_network=""):
        await all_listen(engine)
        (first, own), _ = servers(engine).items()
        run_inside(engine.client, first, NEIGHBOURS, own)
        sent = json.loads(run_inside(engine.client, first, PAST_ROUTES))
        assert {"bound", "told", "chosen"} <= {way for way, count in sent.items() if count == 100}
        assert neighbours(engine.client, first) == 0, "gVisor has a table of its own"
