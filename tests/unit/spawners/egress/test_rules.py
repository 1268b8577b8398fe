"""The firewall's rules: every address that is no internet is refused, and others are not."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmpnb.commands import firewall
from tmpnb.commands.main import main
from tmpnb.spawners.egress import connections as firewall_bounds
from tmpnb.spawners.egress.rules import (
    BRIDGES,
    CLOSED,
    CLOSED4,
    CLOSED6,
    METADATA,
    OUT,
    OWN,
    SIGNS,
    TRIED,
    Exceptions,
    bridge,
    example,
    is_closed,
    table,
)

STARS = tuple(f"{prefix}*" for prefix in BRIDGES if prefix != OWN)
FOUR, SIX = st.ip_addresses(v=4), st.ip_addresses(v=6)


def test_no_address_that_is_not_public_is_left_open() -> None:
    @given(FOUR | SIX)
    def refused(address: IPv4Address | IPv6Address) -> None:
        if not address.is_global or address.is_multicast:
            assert is_closed(address), address

    refused()


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.1",
        "10.255.255.255",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "172.31.255.255",
        "192.168.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2001:0:1::1",
        "2002:a00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_what_is_near_is_refused(text: str) -> None:
    assert is_closed(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "1.0.0.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700::1",
        "2a00::1",
    ],
)
def test_the_internet_is_not_refused(text: str) -> None:
    assert not is_closed(ip_address(text))


def test_the_script_has_every_range_and_takes_the_place_of_an_older_one() -> None:
    script = table(Exceptions())
    assert script.startswith("table inet tmpnb\ndelete table inet tmpnb\ntable inet tmpnb {")
    words = set(re.findall(r"[0-9a-f:.]+/\d+", script))
    assert words == {str(network) for network in (*CLOSED4, *CLOSED6)}


def test_exceptions_are_in_sets_of_their_own() -> None:
    exceptions = Exceptions(
        also=(ip_network("11.0.0.0/8"),),
        allowed=(ip_network("10.1.2.3/32"), ip_network("fd00::/64")),
        resolvers=(ip_network("10.0.0.2/32"),),
    )
    lines = dict(re.findall(r"set (\w+) .*elements = { (.*) } }", table(exceptions)))
    assert lines["closed4"].endswith(", 11.0.0.0/8")
    assert lines["allowed4"] == "10.1.2.3/32"
    assert lines["allowed6"] == "fd00::/64"
    assert lines["resolver4"] == "10.0.0.2/32"
    assert "resolver6" not in lines


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--allow=169.254.0.0/16"], "169.254.169.254"),
        (["--allow", "0.0.0.0/0"], "name smaller networks"),
        (["--allow=10.0.0.1/8"], "host bits"),
        (["--also=here"], "--also: "),
        (["--connections=1023"], "from 1024 to 1000000"),
        (["--connections=many"], "invalid int value"),
        (["--bridges=br-1;drop"], "no name of an interface"),
        (["--bridges="], "no name of an interface"),
        (["--dns=10.0.0.0/24"], "the one address"),
        (["--apply", "--remove"], "not allowed with"),
        (["--nothing"], "see tmpnb firewall --help"),
    ],
)
def test_what_would_undo_the_rules_or_is_none_is_named(words: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["firewall", *words])
    assert said in str(ended.value.code)


def test_without_more_the_rules_are_printed_with_how_to_keep_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["firewall", "--allow=10.1.2.3"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert table(Exceptions(allowed=(ip_network("10.1.2.3/32"),))) in printed
    assert "Before=docker.service" in printed


@pytest.mark.parametrize(
    ("nft", "flag", "told"),
    [
        pytest.param("no-such-program", "--apply", "apt-get install nftables", id="there is none"),
        pytest.param("false", "--remove", "is this root?", id="it complains"),
    ],
)
def test_it_is_said_what_to_do_when_nft_fails(
    monkeypatch: pytest.MonkeyPatch, nft: str, flag: str, told: str
) -> None:
    monkeypatch.setattr(firewall, "NFT", nft)
    with pytest.raises(SystemExit) as ended:
        main(["firewall", flag])
    assert told in str(ended.value.code)


def test_name_servers_that_could_not_be_asked_are_told_of() -> None:
    found = ["127.0.0.53", "10.0.0.2", "9.9.9.9", "10.0.0.3", "nonsense"]
    allowed = Exceptions(resolvers=(ip_network("10.0.0.3/32"),))
    [said] = firewall.advice(found, allowed)
    assert "--dns=10.0.0.2" in said


def test_signs_are_refused_and_there_is_an_example_of_each_range_but_three() -> None:
    assert all(is_closed(sign) for sign in SIGNS)
    examples = [example(closed, ()) for closed in TRIED]
    assert len(examples) == len(CLOSED4) - 3
    assert METADATA in examples
    assert None not in examples


@given(
    st.lists(
        st.builds(
            lambda number, bits: IPv4Network((0xC0000200 + number, bits), strict=False),
            st.integers(0, 255),
            st.integers(23, 30),
        ),
        max_size=4,
    )
)
@hypothesis.example([IPv4Network("192.0.2.192/26")])
@hypothesis.example([IPv4Network("192.0.2.0/25"), IPv4Network("192.0.2.128/26")])
@hypothesis.example([IPv4Network("0.0.0.0/0")])
def test_an_example_is_what_is_not_near_if_there_is_any(near: list[IPv4Network]) -> None:
    closed = IPv4Network("192.0.2.0/24")
    far = {one for one in closed.hosts() if not any(one in network for network in near)}
    found = example(closed, near)
    assert found in far if far else found is None


@pytest.mark.parametrize("prefix", BRIDGES)
def test_bridges_are_named_as_the_kernel_allows(prefix: str) -> None:
    names = {bridge(prefix, f"network-{n}") for n in range(100)}
    assert len(names) == 100
    assert all(name.startswith(prefix) and len(name) <= 15 for name in names)


def chain(script: str, name: str) -> list[str]:
    """Return the lines of one chain."""
    body = script.split(f"\tchain {name} {{\n", 1)[1].split("\n\t}", 1)[0]
    return [line.strip() for line in body.splitlines()]


def test_no_server_reaches_another_by_any_bridge_before_exceptions_are_looked_at() -> None:
    outward = chain(table(Exceptions()), "outward")
    assert outward[:2] == [f'oifname "{OUT}*" goto refuse', f'oifname "{OWN}*" goto refuse']
    assert all(line.startswith(("ip ", "ip6 ")) for line in outward[2:])


def test_servers_own_networks_lead_to_each_other_alone() -> None:
    """Proxy and server are on the same one; what goes out of it is refused, whatever comes in."""
    forward = chain(table(Exceptions()), "forward")
    assert forward == [
        "type filter hook forward priority -10; policy accept;",
        f'iifname "{OUT}*" goto outward',
        f'iifname "{OWN}*" oifname != "{OWN}*" goto refuse',
        f'iifname "{CLOSED}*" goto refuse',
    ]


def test_this_machine_answers_servers_with_all_egress_only() -> None:
    script = table(Exceptions())
    assert chain(script, "input")[1:] == [
        f'iifname "{OUT}*" goto inward',
        f'iifname "{OWN}*" goto inward',
        f'iifname "{CLOSED}*" goto inward',
    ]
    assert chain(script, "inward")[-1] == "goto refuse"
    assert chain(script, "refuse")[-1] == "drop"


def test_connections_of_servers_on_all_our_bridges_and_named_ones_are_bounded() -> None:
    script = table(Exceptions(connections=2000, bridges=("br-0a1b",)))
    bounded = [f'iifname "{name}" ct state new jump bound' for name in (*STARS, "br-0a1b")]
    own = f'iifname "{OWN}*" ip saddr & 0.0.0.15 == 0.0.0.14 ct state new jump bound4'
    assert chain(script, "prerouting")[1:] == [*bounded, own]
    assert "ip saddr ct count 1000" in script
    proxies = table(Exceptions(proxies=(ip_network("172.18.0.2"), ip_network("fd00::2"))))
    assert (
        "set proxies4 { type ipv4_addr; flags interval; auto-merge; elements = { 172.18" in proxies
    )
    assert "set proxies6 { type ipv6_addr; flags interval; auto-merge; elements = { fd00" in proxies
    assert chain(proxies, "bound")[:2] == [f"ip{n} saddr @proxies{n or 4} return" for n in ("", 6)]
    assert "ether saddr ct count 1000" in script
    assert script.count("limit rate 250/minute burst 500 packets") == 2


@pytest.mark.parametrize("name", ["bound4", "bound6", "open4", "open6"])
def test_who_finds_no_place_in_a_set_gets_no_connection(name: str) -> None:
    """A statement that cannot add what is new does not match, so the next one holds."""
    lines = chain(table(Exceptions()), name)
    assert [line.split()[0] for line in lines] in (["update", "drop"], ["add", "drop"])
    assert " over " not in lines[0]


@given(st.integers(min_value=firewall_bounds.FEWEST, max_value=firewall_bounds.MOST))
def test_what_is_open_and_what_was_closed_is_within_the_bound(connections: int) -> None:
    script = table(Exceptions(connections=connections))
    [open_] = set(re.findall(r"ct count (\d+)", script))
    [(rate, burst)] = set(re.findall(r"limit rate (\d+)/minute burst (\d+) packets", script))
    minutes = firewall_bounds.LASTS / 60
    assert int(open_) + int(burst) + int(rate) * minutes <= connections
