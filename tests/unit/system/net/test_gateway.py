"""The gateway that stands for the machine: how it is read, and what a flag makes of it."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from tmpnb.errors import ConfigError
from tmpnb.settings.access import AccessSettings
from tmpnb.system.net import gateway

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
OWN_NETWORK = "eth0\t000014AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
DEFAULT = "eth0\t00000000\t010014AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
MACHINE, STRANGER = ip_address("172.20.0.1"), ip_address("172.20.0.2")


class Settings(AccessSettings):
    pool_size = 8


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "route"
    file.write_text(HEAD + OWN_NETWORK + DEFAULT)
    monkeypatch.setattr(gateway, "ROUTES", file)
    return file


@pytest.mark.parametrize("table", ["", HEAD, HEAD + OWN_NETWORK, HEAD + "\n", HEAD + "eth0\n"])
def test_network_without_a_way_out_has_no_gateway(table: str) -> None:
    assert gateway.default_route(table) is None


def test_gateway_is_the_one_of_the_default_route(routes: Path) -> None:
    assert gateway.gateway() == MACHINE
    routes.unlink()
    assert gateway.gateway() is None


def test_word_gateway_stands_for_it_in_both_flags(routes: Path) -> None:
    access = Settings(exempt_networks="::1, gateway", trusted_proxies="gateway").access()
    for networks in (access.exempt, access.trusted):
        assert MACHINE in networks
        assert STRANGER not in networks
    assert ip_address("::1") in access.exempt
    routes.unlink()
    assert MACHINE not in Settings(exempt_networks="gateway").access().exempt


def test_gateway_is_not_exempt_unless_it_is_named(routes: Path) -> None:
    assert MACHINE not in Settings().access().exempt
    with pytest.raises(ConfigError, match=r"--exempt-networks: 'gateways' is no network"):
        Settings(exempt_networks="gateways").access()
