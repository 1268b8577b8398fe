"""An IPv6 address stands in brackets wherever a port or a path follows it."""

from __future__ import annotations

import asyncio
import errno
import logging
from pathlib import Path

import pytest

from tmpnb.commands.doctor import ports
from tmpnb.commands.invite import _default_url
from tmpnb.errors import ConfigError
from tmpnb.proxy import choice
from tmpnb.proxy.managed import ManagedProxySettings
from tmpnb.settings.application import Tmpnb
from tmpnb.spawners.docker.labels import _url
from tmpnb.spawners.docker.networks.reach import engine_at
from tmpnb.system.http import listen
from tmpnb.system.net.host_port import bracketed, place, reachable
from tmpnb.system.net.proc_net import Listener


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("127.0.0.1", "127.0.0.1:80"),
        ("::", "[::]:80"),
        ("::1", "[::1]:80"),
        ("[::1]", "[::1]:80"),
        ("fe80::1%eth0", "[fe80::1%eth0]:80"),
        ("notebooks.example", "notebooks.example:80"),
    ],
)
def test_a_place_is_written_so_that_it_can_be_read(host: str, written: str) -> None:
    assert place(host, 80) == written
    assert bracketed(host) == written.removesuffix(":80")


def test_all_addresses_are_reached_on_loopback_of_their_kind() -> None:
    hosts = ["", "0.0.0.0", "::", "::1", "192.0.2.7"]  # noqa: S104 - nothing is bound
    assert [*map(reachable, hosts)] == ["127.0.0.1", "127.0.0.1", "::1", "::1", "192.0.2.7"]


def settings(tmp_path: Path, ip: str) -> ManagedProxySettings:
    return ManagedProxySettings(["x"], ip, 8340, 8001, "t", tmp_path, api_ip="::1")


def test_what_is_built_or_shown_has_brackets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    app = Tmpnb()
    app.initialize(["--spawner=fake", "--proxy-ip=::1", "--ip=::1", "--admin-ip=::1"])
    service = app.build()
    health = [port.health for port in ports.listed(service, managed=True)]
    assert all(url.startswith("http://[::1]:") for url in health)
    assert _default_url(service) == "http://[::1]:8000"
    assert settings(tmp_path, "::").endpoint == "http://[::1]:8001"
    assert str(Listener("::", 80, 0)) == "[::]:80"
    assert (_url("::", 1), _url("fd00::1", 1)) == ("http://[::1]:1", "http://[fd00::1]:1")
    assert engine_at("tcp://[fd00::1]:2375") == "[fd00::1]:2375"


def test_an_address_that_cannot_be_had_has_brackets_in_the_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, "none of ours")

    monkeypatch.setattr(listen, "bind_sockets", refuse)
    with pytest.raises(ConfigError, match=r"cannot listen on \[2001:db8::7\]:24090"):
        listen.bind("port", "2001:db8::7", 24090)


@pytest.mark.gen_test(timeout=20)
async def test_the_log_says_where_visitors_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started:
        def __init__(self, *_: object) -> None:
            """Start nothing."""

        async def start(self) -> None:
            """See `ManagedProxy`."""

        async def run(self) -> None:
            await asyncio.Event().wait()

        async def close(self) -> None:
            """See `ManagedProxy`."""

    monkeypatch.setattr(choice, "ManagedProxy", Started)
    with caplog.at_level(logging.INFO):
        for ip in ("::", "", "127.0.0.1"):
            async with choice._running(settings(tmp_path, ip), lambda: None, lambda _: None):
                pass
    assert [message.rpartition("at ")[2] for message in caplog.messages] == [
        "http://[::]:8340/",
        "http://0.0.0.0:8340/",
        "http://127.0.0.1:8340/",
    ]
