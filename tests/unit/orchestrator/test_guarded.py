"""A driver that hangs keeps neither a pass, nor a visitor, nor the end of the service waiting."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.support.fake_proxy import FakeProxy
from tests.support.world import World, wait_until
from tmpnb.core.observation import Instance
from tmpnb.errors import ProxyError, SpawnerError
from tmpnb.orchestrator.guarded import GuardedProxy, GuardedSpawner, let_go
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.fake import FakeSpawner

pytestmark = pytest.mark.gen_test(timeout=20)

SPEC = ServerSpec("abc", "/user/abc/", "the-token")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmpnb.system.calls.GRACE", 0.05)
    monkeypatch.setattr("tmpnb.orchestrator.guarded.CLOSE_TIMEOUT", 0.05)


class Hangs:
    """Never returns until it is let go; a stubborn one does not let itself be cancelled either."""

    def __init__(self, *, stubborn: bool) -> None:
        self.stubborn, self.hanging, self.let_go = stubborn, 0, asyncio.Event()

    async def __call__(self, *_: Any) -> Any:
        self.hanging += 1
        try:
            while not self.let_go.is_set():
                try:
                    await self.let_go.wait()
                except asyncio.CancelledError:
                    if not self.stubborn:
                        raise
        finally:
            self.hanging -= 1
        return []

    async def ended(self) -> None:
        """Let go of what a test has left behind."""
        self.let_go.set()
        await wait_until(lambda: not self.hanging)


kinds = pytest.mark.parametrize("stubborn", [False, True], ids=["cancellable", "stubborn"])


@kinds
async def test_a_close_that_hangs_has_a_deadline(*, stubborn: bool) -> None:
    hangs = Hangs(stubborn=stubborn)
    spawner, proxy = FakeSpawner(), FakeProxy()
    spawner.close = proxy.close = hangs  # type: ignore[method-assign]  # the fault of this test
    with pytest.raises(SpawnerError, match=r"closing the engine: no answer within 0\.05 s"):
        await GuardedSpawner(spawner).close()
    with pytest.raises(ProxyError, match=r"closing the proxy: no answer within 0\.05 s"):
        await GuardedProxy(proxy).close()
    assert hangs.hanging == (2 if stubborn else 0)
    await hangs.ended()


@kinds
async def test_a_close_that_fails_is_told_and_changes_no_outcome(
    caplog: pytest.LogCaptureFixture, *, stubborn: bool
) -> None:
    hangs, spawner = Hangs(stubborn=stubborn), FakeSpawner()
    spawner.close = hangs  # type: ignore[method-assign]  # the fault of this test
    await let_go(spawner)
    assert caplog.messages == ["closing the engine: no answer within 0.05 s"]
    await hangs.ended()


@kinds
async def test_a_proxy_that_hangs_has_a_deadline(
    monkeypatch: pytest.MonkeyPatch, *, stubborn: bool
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.guarded.PROXY_TIMEOUT", 0.05)
    hangs, proxy = Hangs(stubborn=stubborn), FakeProxy()
    for name in ("setup", "list_routes", "route_exists", "add_route", "delete_route"):
        setattr(proxy, name, hangs)
    guarded = GuardedProxy(proxy)
    for ask in (
        guarded.setup(),
        guarded.list_routes(),
        guarded.route_exists("a"),
        guarded.add_route("a", "http://h:1"),
        guarded.delete_route("a"),
    ):
        with pytest.raises(ProxyError, match="no answer within"):
            await ask
    await hangs.ended()


@kinds
async def test_a_preparation_that_hangs_has_a_deadline(
    monkeypatch: pytest.MonkeyPatch, *, stubborn: bool
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.guarded.PREPARE_TIMEOUT", 0.05)
    hangs, spawner = Hangs(stubborn=stubborn), FakeSpawner()
    spawner.prepare = hangs  # type: ignore[method-assign]  # the fault of this test
    with pytest.raises(SpawnerError, match="no answer within"):
        await GuardedSpawner(spawner).prepare("image")
    await hangs.ended()


@pytest.mark.parametrize("name", ["setup", "start", "stop", "list", "mark_claimed", "logs"])
@kinds
async def test_whoever_gives_up_goes_on_whatever_the_driver_does(
    name: str, *, stubborn: bool
) -> None:
    hangs, spawner = Hangs(stubborn=stubborn), FakeSpawner()
    setattr(spawner, name, hangs)
    guarded = GuardedSpawner(spawner)
    calls = {
        "setup": guarded.setup,
        "start": lambda: guarded.start(SPEC),
        "stop": lambda: guarded.stop("a"),
        "list": guarded.list,
        "mark_claimed": lambda: guarded.mark_claimed("a", 1.0),
        "logs": lambda: guarded.logs("a"),
    }
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await calls[name]()
    await hangs.ended()


async def test_calls_that_do_not_end_are_not_made_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tmpnb.system.calls.MOST_LEFT", 2)
    monkeypatch.setattr("tmpnb.system.calls.GRACE", 0.01)
    hangs, spawner = Hangs(stubborn=True), FakeSpawner()
    spawner.list = hangs  # type: ignore[method-assign]  # the fault of this test
    guarded = GuardedSpawner(spawner)
    for _ in "ab":
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await guarded.list()
    with pytest.raises(SpawnerError, match="2 calls before it do not end; restart tmpnb"):
        await guarded.list()
    await hangs.ended()
    assert await guarded.list() == []


@kinds
async def test_a_listing_that_hangs_shows_in_health_and_the_service_ends(
    monkeypatch: pytest.MonkeyPatch, *, stubborn: bool
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.observer.READ_TIMEOUT", 0.05)
    hangs = Hangs(stubborn=stubborn)

    class Hanging(FakeSpawner):
        async def list(self) -> list[Instance]:
            return await hangs()  # type: ignore[no-any-return]  # the fault of this test

    async with World(0, spawner=Hanging()).running() as world:
        await wait_until(lambda: "engine" in world.orchestrator.health.problems)
        said = world.orchestrator.health.problems["engine"].message
        assert "could not be read within" in said
    await hangs.ended()


@kinds
async def test_the_end_does_not_wait_for_a_stop_that_hangs(*, stubborn: bool) -> None:
    hangs = Hangs(stubborn=stubborn)

    class Hanging(FakeSpawner):
        async def stop(self, server_id: str) -> None:
            await hangs(server_id)

    world = World(1, spawner=Hanging())
    world.orchestrator._timing = replace(world.orchestrator._timing, shutdown_timeout=0.1)
    async with world.running():
        await world.until_ready(1)
    assert world.pool.servers, "the next start removes it"
    await hangs.ended()
