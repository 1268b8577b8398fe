"""Whether an address is a notebook server's: what is known, and what the engine is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import SpawnerError
from tmpnb.orchestrator import notebooks
from tmpnb.orchestrator.guarded import GuardedSpawner
from tmpnb.orchestrator.notebooks import Notebooks
from tmpnb.spawners.base import Spawner
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Address

pytestmark = pytest.mark.gen_test(timeout=20)

OWN, BESIDE = "172.18.0.7", "172.18.0.8"


class Engine(Spawner):
    """Holds one address; of another it cannot tell without being asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.found: set[str] = set()
        self.answer = asyncio.Event()
        self.answer.set()

    def holds(self, address: Address) -> bool | None:
        return {OWN: True, BESIDE: None}.get(str(address), False)

    async def addresses(self) -> Collection[Address]:
        self.asked += 1
        found = {networks.address(text) for text in self.found}
        await self.answer.wait()
        return frozenset(address for address in found if address)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def known(engine: Engine) -> Notebooks:
    return Notebooks(GuardedSpawner(engine), list)


async def have(known: Notebooks, text: str) -> bool:
    return await known.have(networks.address(text))


async def test_what_is_known_asks_nobody(known: Notebooks, engine: Engine) -> None:
    assert [await have(known, one) for one in (OWN, "203.0.113.9", "")] == [True, False, False]
    assert await have(known, f"::ffff:{OWN}"), "as a proxy on both families writes it"
    assert engine.asked == 0


async def test_beside_servers_the_engine_is_asked_each_time(
    known: Notebooks, engine: Engine
) -> None:
    assert not await have(known, BESIDE)
    engine.found = {BESIDE}
    assert await have(known, BESIDE), "a server that was started anew"
    assert engine.asked == 2


async def test_those_who_come_while_it_is_asked_share_the_next_answer(
    known: Notebooks, engine: Engine
) -> None:
    engine.answer.clear()
    first = asyncio.ensure_future(have(known, BESIDE))
    while not engine.asked:
        await asyncio.sleep(0)
    engine.found = {BESIDE}
    rest = [asyncio.ensure_future(have(known, BESIDE)) for _ in range(20)]
    await asyncio.sleep(0)
    engine.answer.set()
    assert await asyncio.gather(first, *rest) == [False] + [True] * 20
    assert engine.asked == 2


@pytest.mark.parametrize("silent", [False, True])
async def test_an_engine_that_does_not_tell_gives_nothing_away(
    known: Notebooks,
    engine: Engine,
    silent: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> Collection[Address]:
        raise SpawnerError("no engine")

    monkeypatch.setattr(notebooks, "LOOK_TIMEOUT", 0.01 if silent else 5.0)
    if silent:
        engine.answer.clear()
    else:
        monkeypatch.setattr(engine, "addresses", fail)
    assert await have(known, BESIDE)
    assert f"{BESIDE} is on a network of servers" in caplog.text


@pytest.mark.parametrize("phase", Phase)
async def test_what_a_server_had_that_is_removed_is_asked_for(engine: Engine, phase: Phase) -> None:
    server = NotebookServer("a", 0.0, phase, address=f"http://{BESIDE}:8888")
    known = Notebooks(GuardedSpawner(engine), lambda: [server])
    is_over = phase in (Phase.STOPPING, Phase.GONE)
    assert await have(known, BESIDE) is not is_over, "a proxy may have it now"
    engine.found = {BESIDE}
    assert await have(known, BESIDE), "or a server"


@pytest.mark.parametrize("phase", Phase)
async def test_servers_in_all_phases_count_but_for_loopback(engine: Engine, phase: Phase) -> None:
    server = NotebookServer("a", 0.0, phase, address="http://10.9.8.7:8888")
    here = NotebookServer("b", 0.0, phase, address="http://127.0.0.1:8888")
    known = Notebooks(engine, lambda: [server, here, NotebookServer("c", 0.0)])
    assert [await have(known, one) for one in ("10.9.8.7", "127.0.0.1")] == [True, False]


async def test_while_it_cannot_be_told_whose_an_address_is_the_engine_is_asked(
    known: Notebooks, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "holds", lambda _: 1 / 0)
    engine.found = {OWN}
    assert [await have(known, one) for one in (OWN, "203.0.113.9")] == [True, False]
