"""Where a benchmark's containers find this machine, whatever the engine tells of its network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker
import pytest

from benchmarks.common.command import BenchmarkError
from benchmarks.common.remains import Engine as Measured
from benchmarks.common.remains import ipv4_of
from tests.support.docker_stand_in import Engine, StandIn
from tmpnb.spawners.docker.networks.bridges import BRIDGE

LOOPBACK = {BRIDGE: "lo"}  # an interface that every machine has
NOWHERE = "tmpnb-nowhere"


@pytest.fixture
def engine() -> Iterator[StandIn]:
    running = Engine()
    yield running.state
    running.close()


def gateway(url: str) -> str:
    with closing(docker.APIClient(base_url=url, version="1.41", timeout=20)) as client:
        return Measured(client).gateway()


@pytest.mark.parametrize(
    "ipam",
    [
        {"Config": [{"Subnet": "172.17.0.0/16"}]},  # until the engine is restarted
        {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]},
        {"Config": [{"Subnet": "fd00::/64", "Gateway": "fd00::1"}]},
        {"Config": ["no config"]},
        {"Config": None},
        None,
    ],
    ids=str,
)
def test_containers_find_the_machine_at_the_bridge_whatever_the_engine_tells_of_gateways(
    engine: StandIn, ipam: Any
) -> None:
    engine.rule("GET /networks/bridge", lambda: (200, {"Options": LOOPBACK, "IPAM": ipam}))
    assert gateway(engine.url) == "127.0.0.1"


@pytest.mark.parametrize(
    ("options", "bridge"),
    [({BRIDGE: NOWHERE}, NOWHERE), ({BRIDGE: "no/such/name" * 9}, "no/such/name")],
)
def test_an_interface_that_is_not_here_is_named_with_what_to_do(
    engine: StandIn, options: Any, bridge: str
) -> None:
    engine.rule("GET /networks/bridge", lambda: (200, {"Options": options}))
    with pytest.raises(BenchmarkError, match=rf"no interface {bridge}.* on the engine's own"):
        gateway(engine.url)


@pytest.mark.parametrize("options", [None, {}, "no options", {BRIDGE: None}], ids=str)
def test_a_bridge_without_a_name_is_docker_s_usual_one(
    engine: StandIn, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.common.remains.OWN_BRIDGE", "lo")
    engine.rule("GET /networks/bridge", lambda: (200, {"Options": options}))
    assert gateway(engine.url) == "127.0.0.1"


def test_an_engine_without_a_network_of_its_own_is_told_to_have_one(engine: StandIn) -> None:
    engine.refuse("GET /networks/bridge", 404, "no such network")
    with pytest.raises(BenchmarkError, match="without --bridge=none"):
        gateway(engine.url)


@pytest.mark.parametrize("url", ["tcp://engine.example:2375", "tcp://192.0.2.1:2375"])
def test_an_engine_on_another_machine_is_not_asked_for_its_gateway(url: str) -> None:
    with pytest.raises(BenchmarkError, match=r"not on this machine .*; measure on the engine's"):
        gateway(url)


def test_an_interface_without_an_address_has_none() -> None:
    assert (ipv4_of("lo"), ipv4_of(NOWHERE), ipv4_of("")) == ("127.0.0.1", None, None)
