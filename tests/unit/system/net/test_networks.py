"""Networks as operators write them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tmpnb.errors import ConfigError
from tmpnb.system.net import networks
from tmpnb.system.net.networks import LOOPBACK, Networks


def test_a_list_takes_commas_lines_and_comments() -> None:
    text = "10.0.0.0/8, 192.0.2.7 # one host\n\n# nothing\n2001:db8::/32\t::ffff:198.51.100.0/120"
    assert networks.parse(text, "--flag") == [
        ip_network("10.0.0.0/8"),
        ip_network("192.0.2.7/32"),
        ip_network("2001:db8::/32"),
        ip_network("198.51.100.0/24"),
    ]
    assert networks.parse("", "--flag") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.0/33", "--flag: '10.0.0.0/33' is no network; write 192.0.2.0/24"),
        ("localhost", "--flag: 'localhost' is no network"),
        ("10.1.2.3/8", "--flag: 10.1.2.3/8 has bits behind its prefix; write 10.0.0.0/8"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
    ],
)
def test_what_is_no_network_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        networks.parse(text, "--flag")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_set_keeps_the_families_apart() -> None:
    everything = Networks([ip_network("0.0.0.0/0")])
    assert ip_address("203.0.113.1") in everything
    assert ip_address("2001:db8::1") not in everything
    assert None not in everything
    assert (len(everything), len(Networks())) == (1, 0)


@pytest.mark.parametrize("text", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_known_in_every_spelling(text: str) -> None:
    assert networks.address(text) in LOOPBACK


@pytest.mark.parametrize(
    "text",
    [
        *("", "unknown", "1.2.3", "1.2.3.4.5", "[::1", "1.2.3.4:x", "a" * 99),
        *(f"{odd}127.0.0.1" for odd in ("\xa0", "\x85", "\x1f", "\u3000", "\n")),
        *("127.0.0.1\xa0", "127.0.0.1:\u0661\u0662", "127.0.0.\u0661", "\uff11.2.3.4"),
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert networks.address(text) is None


def test_a_zone_is_left_out() -> None:
    assert networks.address("fe80::1%eth0") == ip_address("fe80::1")
