"""Networks that are banned while the service runs, and how addresses are made anonymous."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tmpnb.access import bans
from tmpnb.access.banned import Banned
from tmpnb.access.bans import Bans, network, written
from tmpnb.access.client_address import shown
from tmpnb.errors import BansFullError, ConfigError

NET = network("192.0.2.0/24")
INSIDE, OUTSIDE = ip_address("192.0.2.7"), ip_address("198.51.100.7")


def test_a_ban_counts_until_it_is_removed(tmp_path: Path) -> None:
    known = Bans(path=tmp_path / "x.bans", clock=lambda: 1000.0)
    assert INSIDE not in known
    assert known.add(NET)
    assert INSIDE in known
    assert OUTSIDE not in known
    assert None not in known
    assert dict(known.since) == {NET: 1000.0}
    assert known.remove(NET)
    assert INSIDE not in known


def test_bans_outlive_a_restart_with_the_time_of_each(tmp_path: Path) -> None:
    path = tmp_path / "x.bans"
    six = network("2001:db8::/32")
    first = Bans(path=path, clock=lambda: 1000.0)
    for one in (NET, six):
        first.add(one)
    again = Bans(path=path, clock=lambda: 2000.0)
    assert dict(again.since) == {NET: 1000.0, six: 1000.0}
    assert ip_address("2001:db8::5") in again
    again.add(NET)
    assert again.since[NET] == 1000.0, "it is banned since then"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.bans"]


def test_those_of_the_settings_count_beside_and_are_not_removed_here(tmp_path: Path) -> None:
    known = Bans(Banned("198.51.100.0/24"), tmp_path / "x.bans")
    known.add(NET)
    assert INSIDE in known
    assert OUTSIDE in known
    with pytest.raises(KeyError):
        known.remove(network("198.51.100.0/24"))
    assert OUTSIDE in known


def test_an_empty_file_of_the_settings_is_read_again(tmp_path: Path) -> None:
    listed, now = tmp_path / "banned", [0.0]
    listed.write_text("")
    known = Bans(Banned(f"@{listed}", clock=lambda: now[0]))
    assert OUTSIDE not in known
    listed.write_text("198.51.100.0/24")
    now[0] = 10.0
    assert OUTSIDE in known


def test_a_ban_counts_though_it_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = Bans(path=tmp_path / "gone" / "x.bans")
    assert not known.add(NET)
    assert INSIDE in known
    assert "count until a restart" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"x": 1}', b'{"192.0.2.0/24": []}', b"[" * 100_000]
)
def test_a_file_that_makes_no_sense_costs_no_start(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.bans"
    path.write_bytes(content)
    assert dict(Bans(path=path).since) == {}
    assert "no bans are read" in caplog.text


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bans, "MOST", 1)
    known = Bans()
    known.add(NET)
    known.add(NET)
    with pytest.raises(BansFullError, match="--banned-networks=@file"):
        known.add(network("198.51.100.0/24"))


@pytest.mark.parametrize(
    "text", ["", "x", "192.0.2.1/24", "192.0.2.0/24 198.51.100.0/24", "192.0.2.0/33", "1" * 1000]
)
def test_one_network_is_asked_for(text: str) -> None:
    with pytest.raises(ConfigError):
        network(text)


def test_one_network_in_several_spellings_is_one() -> None:
    assert network("::ffff:192.0.2.0/120") == network("192.0.2.0/24") == NET
    assert network("192.0.2.7") == ip_network("192.0.2.7/32")
    assert written(network("192.0.2.7/32")) == "192.0.2.7"
    assert written(NET) == "192.0.2.0/24"


@pytest.mark.parametrize(
    ("address", "anonymous"),
    [("192.0.2.7", "192.0.2.0/24"), ("2001:db8:1:2::5", "2001:db8:1::/48")],
)
def test_an_anonymous_address_is_its_network(address: str, anonymous: str) -> None:
    assert shown(ip_address(address), anonymize=True) == anonymous
    assert shown(ip_address(address), anonymize=False) == address
    assert shown(None, anonymize=True) == ""
