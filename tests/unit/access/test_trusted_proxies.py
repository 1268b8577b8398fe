"""Proxies whose word is taken: loopback, those that are named, and a host that moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address

import pytest

from tests.support.world import wait_until
from tmpnb.access import trusted_proxies
from tmpnb.access.trusted_proxies import TrustedProxies, addresses_of, host_of
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Networks

pytestmark = pytest.mark.gen_test(timeout=20)


class Names:
    """What names stand for, and how often that was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Iterable[str] = addresses
        self.asked = 0
        self.hold: asyncio.Event | None = None

    async def resolve(self, name: str) -> Iterable[str]:
        assert name == "proxy-api"
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        if not self.addresses:
            raise OSError("no such name")
        return self.addresses


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted_proxies, "LOOK_EVERY", 0.0)


async def test_loopback_and_what_is_named_is_trusted() -> None:
    given = Networks(networks.parse("192.0.2.0/24", "test"))
    proxies = TrustedProxies(given, ["10.0.0.5", "", "::"])
    for known in ("127.0.0.1", "::1", "192.0.2.9", "10.0.0.5"):
        assert ip_address(known) in proxies
    assert ip_address("10.0.0.6") not in proxies
    assert None not in proxies


async def test_what_a_stranger_is_is_not_known_until_the_names_were_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trusted_proxies, "LOOK_EVERY", 3600.0)
    names = Names("172.18.0.3")
    proxies = TrustedProxies(names=["proxy-api"], resolve=names.resolve)
    assert not proxies.knows("172.18.0.3")
    assert not proxies.knows("203.0.113.9")
    await wait_until(lambda: proxies.knows("172.18.0.3"))
    assert proxies.knows("203.0.113.9"), "no proxy"
    assert names.asked == 1
    assert TrustedProxies().knows("203.0.113.9"), "there are no names"


async def test_a_host_is_looked_up_when_a_stranger_comes_and_follows_its_moves() -> None:
    names = Names("172.18.0.3", "fd00::3", "nonsense")
    proxies = TrustedProxies(names=["proxy-api"], resolve=names.resolve)
    await proxies.know("127.0.0.1")
    assert names.asked == 0, "loopback is known"
    await proxies.know("172.18.0.3")
    await proxies.know("172.18.0.3")
    assert ip_address("172.18.0.3") in proxies
    assert ip_address("fd00::3") in proxies
    assert names.asked == 1
    names.addresses = ["172.18.0.9"]
    await proxies.know("172.18.0.9")
    assert ip_address("172.18.0.9") in proxies
    assert ip_address("172.18.0.3") not in proxies, "somebody else may have it by now"


async def test_many_strangers_at_once_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted_proxies, "LOOK_EVERY", 1000.0)
    names = Names("172.18.0.3")
    names.hold = asyncio.Event()
    proxies = TrustedProxies(names=["proxy-api"], resolve=names.resolve)
    crowd = [asyncio.create_task(proxies.know(f"203.0.113.{n}")) for n in range(50)]
    await wait_until(lambda: names.asked)
    crowd[0].cancel()
    names.hold.set()
    await asyncio.wait(crowd)
    await proxies.know("203.0.113.99")
    assert names.asked == 1
    assert ip_address("172.18.0.3") in proxies


async def test_a_name_that_is_lost_or_hangs_leaves_what_was_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names("172.18.0.3")
    proxies = TrustedProxies(names=["proxy-api"], resolve=names.resolve)
    await proxies.know("172.18.0.3")
    names.addresses = []
    await proxies.know("203.0.113.1")
    monkeypatch.setattr(trusted_proxies, "LOOK_TIMEOUT", 0.01)
    names.hold = asyncio.Event()
    await proxies.know("203.0.113.1")
    assert names.asked == 3
    assert ip_address("172.18.0.3") in proxies


async def test_the_systems_names_are_asked() -> None:
    assert {"127.0.0.1", "::1"} & set(await addresses_of("localhost"))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://proxy-api:8001", "proxy-api"),
        ("http://[::1]:8001", "::1"),
        (None, ""),
        ("http://[", ""),
    ],
)
async def test_the_host_of_the_proxys_api_is_named_in_its_address(
    url: str | None, host: str
) -> None:
    assert host_of(url) == host
