"""Ports for servers that share this machine's network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

import pytest

from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.docker import ports as docker_ports
from tmpnb.spawners.docker.ports import Ports, own_loopback
from tmpnb.spawners.docker_api.address import is_on_this_linux


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port that somebody else listens on, with free ones above it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_port_somebody_listens_on_is_passed_over(taken: int) -> None:
    assert Ports("127.0.0.1", taken).take("a") > taken


def test_a_port_somebody_listens_on_everywhere_is_passed_over() -> None:
    with socket.create_server(("", 0)) as listening:
        port = listening.getsockname()[1]
        assert Ports("127.0.0.1", port).take("a") > port


def test_servers_get_different_ports_before_any_of_them_listens(taken: int) -> None:
    ports = Ports("127.0.0.1", taken)
    assert len({ports.take(server_id) for server_id in "abcde"}) == 5


def test_a_port_that_was_given_back_is_used_again(taken: int) -> None:
    ports = Ports("127.0.0.1", taken)
    first = ports.take("a")
    assert ports.take("b") != first
    ports.give_back("a")
    ports.give_back("never was")
    assert ports.take("c") == first


def test_a_repeated_start_may_keep_its_port(taken: int) -> None:
    ports = Ports("127.0.0.1", taken)
    assert ports.take("a") == ports.take("a")


def test_the_search_ends_with_a_clear_error(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_ports, "TRIED", 0)
    with pytest.raises(SpawnerError, match=f"no free port on 127.0.0.1 from {taken} to {taken}"):
        Ports("127.0.0.1", taken).take("a")


def test_the_search_never_leaves_the_valid_ports() -> None:
    ports = Ports("127.0.0.1", docker_ports.LAST)
    ports.take("a")
    with pytest.raises(SpawnerError, match="65535"):
        ports.take("b")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--container-ip=192\.0\.2\.1"):
        Ports("192.0.2.1", 8888).check()


def test_an_address_of_this_machine_is_fine() -> None:
    ports = Ports("127.0.0.1", 8888)
    ports.check()
    assert ports.take("a") >= 8888


def test_each_server_has_a_loopback_address_of_its_own_that_stays_the_same() -> None:
    ids = [f"server{number}" for number in range(200)]
    addresses = {own_loopback(server_id) for server_id in ids}
    assert len(addresses) == len(ids)
    assert addresses == {own_loopback(server_id) for server_id in ids}
    for address in map(ipaddress.ip_address, addresses):
        assert address.is_loopback
        assert address not in ipaddress.ip_network("127.0.0.0/16"), "others listen there"
        assert address.packed[3] not in (0, 255)


@pytest.mark.parametrize(
    ("engine", "here"),
    [
        ("", True),
        ("unix:///run/user/1000/docker.sock", True),
        ("tcp://127.0.0.1:2375", False),  # may be the end of a tunnel
        ("ssh://me@engine.example", False),
    ],
)
def test_only_an_engine_behind_a_socket_shares_our_loopback(
    engine: str, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine)
    monkeypatch.setattr("sys.platform", "linux")
    assert is_on_this_linux() is here
    monkeypatch.setattr("sys.platform", "darwin")
    assert not is_on_this_linux()
