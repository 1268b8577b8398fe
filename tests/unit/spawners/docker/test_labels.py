"""What a container says about its server, as the engine lists it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmpnb.core.observation import Instance
from tmpnb.errors import SpawnerError
from tmpnb.spawners.docker import labels as listing

PUBLISHED = {"IP": "127.0.0.1", "PrivatePort": 8888, "PublicPort": 32768, "Type": "tcp"}


def entry(**changes: Any) -> dict[str, Any]:
    """Return a running, published container as the engine lists it."""
    return {
        "Id": "0" * 64,
        "Names": [f"/{listing.container_name('pool', 'abc')}"],
        "Labels": listing.labels("pool", "abc", 8888, None),
        "State": "running",
        "Created": 1_700_000_000,
        "Ports": [PUBLISHED],
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
    } | changes


def on_network(**addresses: str) -> dict[str, Any]:
    return {"Ports": [], "NetworkSettings": {"Networks": {"lan": addresses}}}


def test_a_running_container_is_an_instance() -> None:
    assert listing.instance_of(entry()) == Instance(
        "abc", running=True, created_at=1_700_000_000, address="http://127.0.0.1:32768"
    )


def test_only_running_counts_as_running_and_has_an_address() -> None:
    seen = {state: listing.instance_of(entry(State=state)) for state in listing.SERVES}
    assert [state for state, instance in seen.items() if instance.running] == ["running"]
    assert [s for s, instance in seen.items() if instance.address] == ["running", "paused"]


def test_a_paused_one_and_those_with_a_restart_policy_may_come_back() -> None:
    seen = {state: listing.instance_of(entry(State=state)) for state in listing.SERVES}
    assert [state for state, instance in seen.items() if instance.paused] == ["paused"]
    returning = {state for state, instance in seen.items() if instance.returning}
    assert returning == {"exited", "restarting", "initialized", "stopping", "stopped"}
    assert [state for state, instance in seen.items() if instance.running] == ["running"]


def test_an_unknown_state_is_refused_by_name() -> None:
    with pytest.raises(SpawnerError, match=r"tmpnb-pool-abc.*'hibernating'"):
        listing.instance_of(entry(State="hibernating"))


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "http://127.0.0.1:32768"),
        ({"Ports": [PUBLISHED | {"IP": "::1"}]}, "http://[::1]:32768"),
        (
            {"Ports": [PUBLISHED | {"IP": "::1", "PublicPort": 9}, PUBLISHED]},
            "http://127.0.0.1:32768",
        ),
        ({"Ports": [PUBLISHED | {"IP": "0.0.0.0"}]}, "http://127.0.0.1:32768"),  # noqa: S104
        ({"Ports": [PUBLISHED | {"IP": "::"}]}, "http://[::1]:32768"),
        ({"Ports": [PUBLISHED | {"PrivatePort": 22}, PUBLISHED]}, "http://127.0.0.1:32768"),
        (on_network(IPAddress="10.1.2.3"), "http://10.1.2.3:8888"),
        (on_network(IPAddress="", GlobalIPv6Address="fd00::2"), "http://[fd00::2]:8888"),
        (on_network(IPAddress=""), None),
        ({"Ports": None, "NetworkSettings": None}, None),
        ({"Ports": [{"PrivatePort": 8888}], "NetworkSettings": {"Networks": None}}, None),
        (
            {"Labels": listing.labels("pool", "abc", 8890, "192.0.2.1")} | on_network(),
            "http://192.0.2.1:8890",
        ),
    ],
)
def test_the_address_is_where_the_server_can_be_reached(
    changes: dict[str, Any], address: str | None
) -> None:
    assert listing.instance_of(entry(**changes)).address == address


@pytest.mark.parametrize(
    ("names", "claimed_at"),
    [
        (["tmpnb-pool-abc"], None),
        (["tmpnb-pool-abc-claimed-1700000000"], 1_700_000_000),
        (["other/alias", "tmpnb-pool-abc-claimed-1700000000"], 1_700_000_000),
        (["tmpnb-pool-abc-claimed-"], None),
        (["tmpnb-pool-abc-claimed-soon"], None),
        (["tmpnb-pool-abc-claimed-1-claimed-2"], None),
        (["tmpnb-pool-x-claimed-1700000000"], None),
        ([], None),
        (None, None),
    ],
)
def test_the_claim_is_read_from_the_name(names: list[str] | None, claimed_at: float | None) -> None:
    given = names and [f"/{name}" for name in names]
    assert listing.instance_of(entry(Names=given)).claimed_at == claimed_at


@pytest.mark.parametrize(
    "broken",
    [
        {"Labels": None},
        {"Labels": {}},
        {"Created": None},
        {"Created": "yesterday"},
        {"State": None},
        {"State": ["running"]},
        {"Ports": ["8888"]},
        {"Names": 5},
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_of_the_engine(broken: dict[str, Any]) -> None:
    with pytest.raises(SpawnerError):
        listing.instance_of(entry(**broken))


NAMES = st.text(min_size=1, max_size=40)


@given(NAMES, NAMES, st.none() | st.integers(0, 2**40))
def test_any_pool_and_id_make_a_name_that_docker_takes_and_that_reads_back(
    pool: str, server_id: str, at: int | None
) -> None:
    name = listing.container_name(pool, server_id, at)
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name)
    labels = listing.labels(pool, server_id, 1, None)
    seen = listing.instance_of(entry(Names=[f"/{name}"], Labels=labels))
    assert (seen.server_id, seen.claimed_at) == (server_id, at)


def test_a_filter_asks_for_the_pool_and_for_one_server_of_it() -> None:
    own = [f"{key}={value}" for key, value in listing.labels("pool", "abc", 8888, None).items()]
    pool, server = listing.selection("pool")["label"], listing.selection("pool", "abc")["label"]
    assert set(pool) < set(server) <= set(own)
    assert "tmpnb.pool=pool" in pool
