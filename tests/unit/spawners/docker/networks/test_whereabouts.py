"""Which addresses servers have in the engine, read from its listing and kept while it changes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tmpnb.spawners.docker.networks.whereabouts import Company, Whereabouts, doors_of, place_of


def entry(**networks: dict[str, Any]) -> dict[str, Any]:
    return {"NetworkSettings": {"Networks": networks}}


def at(address: str, bits: object = 26) -> dict[str, Any]:
    return {"IPAddress": address, "IPPrefixLen": bits}


def held(whereabouts: Whereabouts, *addresses: str) -> list[bool | None]:
    return [whereabouts.holds(ip_address(address)) for address in addresses]


def test_all_networks_and_both_families_count() -> None:
    both = at("172.18.0.7", 16) | {"GlobalIPv6Address": "fd00::7", "GlobalIPv6PrefixLen": 64}
    place = place_of(entry(lan=both, internet=at("198.18.0.3", 28)))
    expected = {"172.18.0.7", "fd00::7", "198.18.0.3"}
    assert {str(address) for address in place.addresses} == expected
    subnets = {"172.18.0.0/16", "fd00::/64", "198.18.0.0/28"}
    assert place.subnets == {ip_network(subnet) for subnet in subnets}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"NetworkSettings": None},
        {"NetworkSettings": {"Networks": None}},
        entry(lan={}),
        entry(lan={"IPAddress": "", "GlobalIPv6Address": None}),
        {"NetworkSettings": {"Networks": {"lan": None}}},
        entry(host=at("", 0)),
    ],
)
def test_who_is_on_no_network_is_nowhere(odd: dict[str, Any]) -> None:
    assert place_of(odd) == place_of({})


@pytest.mark.parametrize("bits", [0, None, "26", 33, -1])
def test_an_address_counts_whatever_the_length_of_its_network(bits: object) -> None:
    place = place_of(entry(lan=at("172.18.0.7", bits)))
    assert place.addresses == {ip_address("172.18.0.7")}
    assert not place.subnets


def test_beside_servers_it_cannot_be_told_and_elsewhere_nobody_is_one() -> None:
    whereabouts = Whereabouts()
    assert held(whereabouts, "172.18.0.7", "fe80::1") == [False, False]
    whereabouts.note("a", entry(lan=at("172.18.0.7")))
    assert held(whereabouts, "172.18.0.7", "172.18.0.8", "172.18.9.7") == [True, None, False]


def test_link_local_addresses_are_theirs_but_for_those_of_a_network_card() -> None:
    whereabouts = Whereabouts(leads_outside=lambda name: name == "eth0")
    assert held(whereabouts, "fe80::1", "fe80::1%docker0") == [False, False]
    whereabouts.note("a", entry(lan=at("172.18.0.7")))
    assert held(whereabouts, "fe80::42:acff:fe12:7", "fd00::9") == [True, False]
    assert held(whereabouts, "fe80::1%docker0", "fe80::1%eth0") == [True, False]


def test_a_listing_says_all_but_of_servers_that_started_while_it_was_made() -> None:
    whereabouts = Whereabouts()
    whereabouts.note("gone", entry(lan=at("172.18.0.2")))
    turn = whereabouts.begin()
    whereabouts.note("new", entry(lan=at("172.18.0.4")))
    listed = [("old", entry(lan=at("172.18.0.3"))), ("new", entry(lan=at("")))]
    whereabouts.listed(turn, listed)
    assert held(whereabouts, "172.18.0.2", "172.18.0.3", "172.18.0.4") == [None, True, True]


def test_an_older_listing_that_comes_late_changes_nothing() -> None:
    whereabouts = Whereabouts()
    older, newer = whereabouts.begin(), whereabouts.begin()
    whereabouts.listed(newer, [("a", entry(lan=at("172.18.0.9")))])
    whereabouts.listed(older, [("a", entry(lan=at("172.18.0.2")))])
    assert held(whereabouts, "172.18.0.9", "172.18.0.2") == [True, None]


def test_what_a_removed_server_had_is_another_s_perhaps() -> None:
    whereabouts = Whereabouts()
    for server_id, address in (("a", "172.18.0.7"), ("b", "172.18.0.8")):
        whereabouts.note(server_id, entry(lan=at(address)))
    turn = whereabouts.begin()
    whereabouts.forget("a")
    whereabouts.forget("nobody")
    assert held(whereabouts, "172.18.0.7", "172.18.0.8") == [None, True]
    entries = [("a", entry(lan=at("172.18.0.7"))), ("b", entry(lan=at("172.18.0.8")))]
    whereabouts.listed(turn, entries)
    assert held(whereabouts, "172.18.0.7", "172.18.0.8") == [None, True], "it was on its way"
    whereabouts.listed(whereabouts.begin(), entries)
    assert held(whereabouts, "172.18.0.7") == [True], "somebody has started it again"
    whereabouts.forget("a")
    whereabouts.note("a", entry(lan=at("172.18.0.9")))
    assert held(whereabouts, "172.18.0.7", "172.18.0.9") == [None, True]
    whereabouts.forget("a")
    whereabouts.forget("b")
    assert held(whereabouts, "172.18.0.8", "172.18.0.6") == [None, False], "the last one as well"
    whereabouts.listed(whereabouts.begin(), [])
    assert held(whereabouts, "172.18.0.8") == [False]


PUBLISHED = {"IP": "0.0.0.0", "PrivatePort": 8000, "PublicPort": 8000}  # noqa: S104 - read
ON = {"NetworkSettings": {"Networks": {"a": {"Gateway": "172.18.0.1"}, "b": {"Gateway": ""}}}}


@pytest.mark.parametrize(
    ("ports", "doubtful"),
    [
        ([PUBLISHED], True),
        ([PUBLISHED | {"IP": "::"}], True),
        ([PUBLISHED | {"IP": "192.0.2.1"}], True),
        ([PUBLISHED | {"IP": ""}], True),
        ([PUBLISHED | {"IP": "127.0.0.1"}, PUBLISHED], True),
        ([PUBLISHED | {"IP": "127.0.0.1"}, PUBLISHED | {"IP": "::1"}], False),
        ([{"PrivatePort": 8000}], False),
        ([], False),
        (None, False),
    ],
)
def test_servers_may_come_from_the_gateway_of_what_they_reach_on_the_machine(
    ports: Any, doubtful: bool
) -> None:
    found = doors_of(ON | {"Ports": ports})
    assert found.gateways == ({ip_address("172.18.0.1")} if doubtful else set())
    assert found.perhaps == {ip_address("172.18.0.1")}


def test_company_is_no_server_and_its_gateways_may_be() -> None:
    whereabouts = Whereabouts()
    whereabouts.note("a", entry(lan=at("172.18.0.7")))
    proxy, gateway = (frozenset({ip_address(f"172.18.0.{n}")}) for n in (8, 1))
    whereabouts.company = Company(proxy, gateway, gateway)
    assert held(whereabouts, "172.18.0.8", "172.18.0.1", "172.18.0.9") == [False, True, None]
    whereabouts.company = Company(proxy, frozenset(), frozenset({ip_address("172.19.0.1")}))
    assert held(whereabouts, "172.19.0.1") == [None], "a proxy that is made anew may publish more"
