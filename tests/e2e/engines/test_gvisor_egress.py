"""What a server in gVisor reaches: the tests of egress once more, with --runtime=runsc."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.engines.gvisor import in_gvisor
from tests.e2e.engines.test_egress import (  # noqa: F401 - they run here as well
    filtered,
    kept_after_filling,
    outside,
    test_on_a_network_of_its_own_a_server_reaches_nobody_but_those_on_it,
    test_with_the_internet_alone_a_server_reaches_nothing_nearer,
    test_with_the_internet_and_a_network_of_its_own_as_well,
    test_without_egress_a_server_reaches_the_machine_alone,
    tries_to_take_others,
)
from tests.e2e.faults.own_engine import OwnEngine
from tests.support.requirements import TEST_IMAGE

pytestmark = [
    pytest.mark.docker,
    pytest.mark.xdist_group("egress"),
    pytest.mark.long,
    pytest.mark.gen_test(timeout=240),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[OwnEngine]:
    made = OwnEngine.running(TEST_IMAGE)
    with in_gvisor(made, made.close):
        yield made


@pytest.mark.usefixtures("filtered")
async def test_a_notebook_in_gvisor_takes_no_other_by_the_public_address(
    engine: OwnEngine,
) -> None:
    await tries_to_take_others(engine, "all")


@pytest.mark.usefixtures("filtered")
async def test_a_server_in_gvisor_fills_the_machine_s_tables_up_to_its_bound(
    engine: OwnEngine,
) -> None:
    kept, taken = await kept_after_filling(engine, "all")
    assert {"bound", "told", "chosen"} <= taken
    assert kept <= 1, "gVisor keeps neighbours itself; the machine has its own answer at most"
