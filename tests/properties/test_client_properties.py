"""Whatever a client forges, it is counted as what a trusted proxy saw of it."""

from __future__ import annotations

import ipaddress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tmpnb.access.client_address import MOST_HOPS, Client, client_of
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Address, Networks

patient = settings(deadline=None)  # the machine it runs on may be slow

TRUSTED = Networks(networks.parse("127.0.0.0/8 ::1 10.1.0.0/16 fd00:1::/32", "test"))
PROXIES = st.sampled_from(["127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.0.9", "fd00:1::7"])
ADDRESSES = st.ip_addresses().map(lambda a: getattr(a, "ipv4_mapped", None) or a)
STRANGERS = ADDRESSES.filter(lambda a: a not in TRUSTED)
PIECES = st.sampled_from([
    "127.0.0.1", "10.1.0.1", "203.0.113.9", "2001:db8::1", "unknown", "_hidden", "[::1]:80",
    "1.2.3.4:99999", "", " ", "for=1.2.3.4", "\x00", "999.1.1.1", "fe80::1%eth0", "'",
    "\u0661.1.1.1",
])  # fmt: skip
FORGED = st.lists(PIECES | st.text(max_size=30), max_size=6).map(",".join)
SPELLINGS = st.sampled_from(["{}", " {} ", "\t{}"])


@patient
@given(peer=PIECES | st.text(max_size=80), forwarded=FORGED)
@example(peer="127.0.0.1", forwarded="," * 70_000)
@example(peer="127.0.0.1", forwarded="1" * 70_000)
@example(peer="", forwarded="")
def test_anything_has_a_client_and_a_name(peer: str, forwarded: str) -> None:
    client = client_of(peer, forwarded, TRUSTED)
    assert len(client.key) < 64
    assert Client(client.address).key == client.key


@patient
@given(peer=STRANGERS, forwarded=FORGED)
def test_the_word_of_a_stranger_is_not_taken(peer: Address, forwarded: str) -> None:
    assert client_of(str(peer), forwarded, TRUSTED) == Client(peer)


@patient
@given(FORGED, STRANGERS, st.lists(PROXIES, max_size=3), PROXIES, SPELLINGS)
def test_what_the_client_forged_changes_nothing(
    forged: str, visitor: Address, between: list[str], peer: str, spelling: str
) -> None:
    """Each proxy appends whom it sees: the visitor first, then the proxies before it."""
    chain = ",".join([forged, spelling.format(visitor), *between])
    assert client_of(peer, chain, TRUSTED) == Client(visitor)


@patient
@given(FORGED, st.lists(PROXIES, min_size=1, max_size=3), PROXIES)
def test_junk_before_the_last_trusted_proxy_is_that_proxy(
    forged: str, between: list[str], peer: str
) -> None:
    chain = ",".join([forged, "unknown", *between])
    assert client_of(peer, chain, TRUSTED) == Client(networks.address(between[0]))


@patient
@given(st.lists(PROXIES, min_size=MOST_HOPS, max_size=MOST_HOPS + 9), STRANGERS)
def test_a_chain_without_end_is_given_up(between: list[str], visitor: Address) -> None:
    chain = ",".join([str(visitor), *between])
    assert client_of("127.0.0.1", chain, TRUSTED).address in TRUSTED


@patient
@given(st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None), st.integers(0, 2**64 - 1))
def test_one_customers_ipv6_addresses_are_one_client(
    address: ipaddress.IPv6Address, low: int
) -> None:
    other = ipaddress.IPv6Address((int(address) >> 64 << 64) | low)
    assert Client(address).key == Client(other).key
    neighbour = ipaddress.IPv6Address(int(address) ^ (1 << 64))
    assert Client(address).key != Client(neighbour).key


@patient
@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_an_ipv4_address_is_one_client_however_it_is_written(
    address: ipaddress.IPv4Address, other: ipaddress.IPv4Address
) -> None:
    for spelling in (f"{address}", f"::ffff:{address}", f"[::ffff:{address}]:80", f"{address}:80"):
        assert networks.address(spelling) == address
    assert (Client(address).key == Client(other).key) == (address == other)


@patient
@given(
    st.lists(st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), max_size=5),
    st.ip_addresses(v=4),
)
def test_a_set_of_networks_has_what_one_of_them_has(
    given_networks: list[tuple[ipaddress.IPv4Address, int]], address: ipaddress.IPv4Address
) -> None:
    listed = [ipaddress.ip_network(pair, strict=False) for pair in given_networks]
    assert (address in Networks(listed)) == any(address in network for network in listed)
