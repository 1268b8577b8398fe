"""The addresses of networks that are made, and what is said of those that are there."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from typing import Any

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.docker_stand_in import StandIn
from tmpnb.errors import ConfigError
from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.labels import INTERNET_NETWORK
from tmpnb.spawners.docker.networks import subnets
from tmpnb.spawners.docker.networks.bridges import BRIDGE, ICC, Room, ensure
from tmpnb.spawners.docker.networks.choice import prepare
from tmpnb.spawners.docker.networks.subnets import OTHERS, free, prefix_for, room_in
from tmpnb.spawners.docker.options import CLOSED_NETWORK, OPEN_NETWORK, Options
from tmpnb.spawners.egress.rules import CLOSED, OPEN, OUT, bridge
from tmpnb.system.net import gateway

RANGE = IPv4Network("198.18.0.0/15")


def of(subnet: str) -> dict[str, Any]:
    return {"IPAM": {"Config": [{"Subnet": subnet}]}, "Internal": True, "Options": {ICC: "false"}}


def subnet_of(network: dict[str, Any]) -> IPv4Network:
    [config] = network["IPAM"]["Config"]
    return IPv4Network(config["Subnet"])


@given(st.integers(0, 10_000))
def test_a_subnet_has_room_for_all_and_is_no_larger_than_it_must_be(capacity: int) -> None:
    prefix = prefix_for(capacity)
    room = room_in(of(f"10.0.0.0/{prefix}"))
    assert room is not None
    assert room >= capacity
    assert room == 2 ** (32 - prefix) - 2 - OTHERS, "and for the machine, a sentry and so on"
    assert prefix == 26 or 2 ** (32 - prefix) < 2 * (capacity + OTHERS + 2)


def test_free_subnets_come_from_the_end_and_overlap_nobody() -> None:
    found = list(free(IPv4Network("10.0.0.0/24"), 26, [IPv4Network("10.0.0.200/32")]))
    assert [str(one) for one in found] == ["10.0.0.128/26", "10.0.0.64/26", "10.0.0.0/26"]
    assert len(list(free(RANGE, 26, []))) == subnets.TRIES
    with pytest.raises(ConfigError, match=r"--own-subnets=10\.0\.0\.0/28: too small"):
        list(free(IPv4Network("10.0.0.0/28"), 26, []))


@pytest.mark.parametrize(
    ("egress", "name", "prefix"),
    [("all", OPEN_NETWORK, OPEN), ("none", CLOSED_NETWORK, CLOSED), ("internet", "out", OUT)],
)
def test_a_network_for_any_egress_is_small_and_the_firewall_knows_its_bridge(
    docker_client: docker.APIClient, stand_in: StandIn, egress: str, name: str, prefix: str
) -> None:
    network = "" if egress != "internet" else name
    options = Options("image", egress=egress, network=network, capacity=100)
    assert prepare(docker_client, "pool", options)
    made = stand_in.networks[name]
    assert made["Options"][BRIDGE] == bridge(prefix, name)
    assert (made["Options"].get(ICC) == "false") is (egress != "all")
    assert bool(made.get("Internal")) is (egress == "none")
    assert subnet_of(made).prefixlen == 25
    assert subnet_of(made).subnet_of(RANGE)


def test_what_the_engine_or_the_machine_has_is_not_taken(
    docker_client: docker.APIClient, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(IPv4Network("10.0.0.0/24"), 10)
    monkeypatch.setattr(
        "tmpnb.spawners.docker.networks.bridges.routed", lambda: [ip_network("10.0.0.192/27")]
    )
    stand_in.networks["theirs"] = of("10.0.0.128/26")
    said = "Pool overlaps with other one on this address space"
    stand_in.refuse("POST /networks/create", 403, said, 1)
    ensure(docker_client, "lan", {}, closed=False, room=room)
    assert str(subnet_of(stand_in.networks["lan"])) == "10.0.0.0/26"
    ensure(docker_client, "another", {}, closed=False, room=room)
    with pytest.raises(ConfigError, match="no free network in --own-subnets"):
        ensure(docker_client, "a third", {}, closed=False, room=room)


@pytest.mark.parametrize("route", ["128.0.0.0/1", "192.0.0.0/3", "198.18.0.0/15"])
def test_a_route_of_a_vpn_for_all_traffic_takes_no_subnets(
    docker_client: docker.APIClient, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    monkeypatch.setattr(
        "tmpnb.spawners.docker.networks.bridges.routed", lambda: [ip_network(route)]
    )
    ensure(docker_client, "lan", {}, closed=False, room=Room(RANGE, 10))
    assert subnet_of(stand_in.networks["lan"]).subnet_of(RANGE)


def test_one_that_is_there_is_used_and_its_size_is_told(
    docker_client: docker.APIClient, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.networks["small"], stand_in.networks["large"] = of("10.0.0.0/26"), of("172.18.0.0/16")
    room = Room(RANGE, 54)
    ensure(docker_client, "large", {}, closed=True, room=room)
    assert "docker network rm large" in caplog.text
    caplog.clear()
    stand_in.networks["many"] = of("10.0.0.0/20")
    ensure(docker_client, "many", {}, closed=True, room=Room(RANGE, 2000))
    assert not caplog.text, "it has to be so large"
    ensure(docker_client, "small", {}, closed=True, room=room)
    assert not caplog.text
    with pytest.raises(
        ConfigError, match=r"--pool-size=55: the network small has addresses for 54 servers;"
    ):
        ensure(docker_client, "small", {}, closed=True, room=Room(RANGE, 55))
    assert not stand_in.requests("create")


def join(stand_in: StandIn, network: str, pool: str, count: int, capacity: int = 0) -> None:
    """Put servers of a pool on a network; "" stands for other containers."""
    labels = listing.labels(pool, "abc", 8888, None, capacity) if pool else {}
    present = stand_in.networks[network].setdefault("Containers", {})
    for number in range(count):
        present[stand_in.add(f"tmpnb-{pool}-{number}", labels)] = {}


SHARED = [
    ("all", OPEN_NETWORK, OPEN),
    ("none", CLOSED_NETWORK, CLOSED),
    ("internet", INTERNET_NETWORK, OUT),
]


@pytest.mark.parametrize(("egress", "name", "prefix"), SHARED)
def test_a_second_pool_does_not_begin_on_a_network_that_the_first_one_fills(
    docker_client: docker.APIClient, stand_in: StandIn, egress: str, name: str, prefix: str
) -> None:
    shared = of("10.0.0.0/26") | {"Internal": egress == "none"}
    stand_in.networks[name] = shared | {"Options": {ICC: "false", BRIDGE: bridge(prefix, name)}}
    join(stand_in, name, "first", 30)
    prepare(docker_client, "second", Options("image", egress=egress, capacity=24))
    with pytest.raises(ConfigError) as refused:
        prepare(docker_client, "second", Options("image", egress=egress, capacity=25))
    text = str(refused.value)
    assert f"--pool-size=25: the network {name} has addresses for 24 servers" in text
    assert "30 containers of others" in text
    assert f"--docker-network={name}-2" in text


def test_what_another_pool_may_yet_have_is_kept_for_it(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    stand_in.networks[CLOSED_NETWORK] = of("10.0.0.0/26")
    join(stand_in, CLOSED_NETWORK, "first", 2, capacity=40)
    join(stand_in, CLOSED_NETWORK, "_check", 1, capacity=40)
    prepare(docker_client, "second", Options("image", egress="none", capacity=14))
    more = Options("image", egress="none", capacity=15)
    with pytest.raises(ConfigError, match="for 14 servers besides 41 containers of others"):
        prepare(docker_client, "second", more)
    for entry in stand_in.containers.values():
        entry["Created"] -= 10
    join(stand_in, CLOSED_NETWORK, "first", 1, capacity=30)  # with fewer, started again
    prepare(docker_client, "second", more)
    join(stand_in, CLOSED_NETWORK, "first", 1, capacity=1)
    prepare(docker_client, "first", Options("image", egress="none", capacity=54))


@pytest.mark.parametrize("told", ["", "-5", "many", "9" * 30, "٣"])
def test_of_a_pool_that_does_not_say_how_many_it_may_have_those_count_that_are_there(
    told: str,
) -> None:
    entries = [{"Id": str(n), "Labels": {listing.POOL: "a", listing.CAPACITY: told}} for n in "12"]
    assert listing.most_of_each_pool(entries) == {"a": 2}


def test_a_pool_that_starts_again_has_the_room_that_was_made_for_it(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    stand_in.networks[CLOSED_NETWORK] = of("10.0.0.0/26")
    join(stand_in, CLOSED_NETWORK, "pool", 54)
    join(stand_in, CLOSED_NETWORK, "_check", 2)  # of a doctor that looks just now
    join(stand_in, CLOSED_NETWORK, "", 2)  # a sentry, and a proxy
    full = Options("image", egress="none", capacity=54)
    prepare(docker_client, "pool", full)
    prepare(docker_client, "_check", full)
    join(stand_in, CLOSED_NETWORK, "", 1)
    with pytest.raises(ConfigError, match="has addresses for 53 servers"):
        prepare(docker_client, "pool", full)


def test_who_cannot_name_the_network_that_leads_out_is_not_told_to(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    name = INTERNET_NETWORK
    options = {ICC: "false", BRIDGE: bridge(OUT, name)}
    stand_in.networks["lan"] = {"Name": "lan", "Containers": {"me": {}}}
    stand_in.networks[name] = of("10.0.0.0/26") | {"Internal": False, "Options": options}
    join(stand_in, name, "first", 50)
    apart = Options("image", egress="internet", network="lan", own_networks=True, capacity=10)
    with pytest.raises(ConfigError, match="has addresses for 4 servers") as refused:
        prepare(docker_client, "second", apart)
    assert "--docker-network" not in str(refused.value)


def test_who_else_may_be_on_a_named_network_is_not_held_to_the_servers_bounds(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    prepare(docker_client, "pool", Options("image", network="lan", capacity=10))
    assert subnet_of(stand_in.networks["lan"]).prefixlen == 26
    assert "Options" not in stand_in.networks["lan"] or not stand_in.networks["lan"]["Options"]


@pytest.mark.parametrize("more", [{"network_mode": "bridge"}, {"links": {"db": "db"}}])
def test_the_operator_s_own_network_goes_before_ours(
    docker_client: docker.APIClient, stand_in: StandIn, more: dict[str, Any]
) -> None:
    prepare(docker_client, "pool", Options("image", extra_host_config=more))
    assert stand_in.networks == {}


def test_routes_are_read_as_the_kernel_writes_them() -> None:
    table = (
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        "eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0\n"
        "eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n"
        "cut short\n"
    )
    assert gateway.routes(table) == [IPv4Network("172.17.0.0/16")]


@pytest.mark.parametrize("egress", ["all", "none"])
def test_the_network_of_all_servers_goes_when_nobody_is_on_it_and_comes_again(
    docker_client: docker.APIClient, stand_in: StandIn, egress: str
) -> None:
    networks = prepare(docker_client, "pool", Options("image", egress=egress))
    [name] = stand_in.networks
    networks.close()
    assert stand_in.networks == {}
    assert networks.place("abc") == name, "as another pool may have removed it meanwhile"
    assert list(stand_in.networks) == [name]
    somebody = stand_in.add("somebody", {}, state="exited")
    stand_in.containers[somebody]["NetworkSettings"]["Networks"] = {name: {}}
    networks.close()
    assert list(stand_in.networks) == [name]


def test_a_network_that_somebody_named_stays(
    docker_client: docker.APIClient, stand_in: StandIn
) -> None:
    prepare(docker_client, "pool", Options("image", egress="none", network="mine")).close()
    assert list(stand_in.networks) == ["mine"]
