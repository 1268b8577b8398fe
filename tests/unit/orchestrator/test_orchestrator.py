"""The loop, the claims and the faults, over pretend engine and proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import pytest

from tests.support.world import FakeClock, World, wait_until
from tmpnb.core.observation import Instance
from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import (
    NoPlaceError,
    PoolEmptyError,
    ProxyError,
    RolloutRefusedError,
    ServerExistsError,
    SpawnerError,
)
from tmpnb.orchestrator.bars import IMAGE, MOMENT
from tmpnb.spawners.base import PoolIdentity, ServerSpec
from tmpnb.spawners.fake import FakeSpawner

pytestmark = pytest.mark.gen_test(timeout=20)


async def test_pool_fills_to_capacity_and_nothing_is_routed() -> None:
    async with World(3).running() as world:
        await world.until_ready(3)
        assert world.proxy.table == {}
        assert len(world.instances()) == 3


async def test_claim_routes_marks_and_refills_without_waiting_for_a_period() -> None:
    world = World(3, min_ready=2, interval=60)
    async with world.running():
        await world.until_ready(2)
        server = await world.orchestrator.claims.claim()
        assert list(world.proxy.table) == [f"/user/{server.id}"]
        assert world.engine.servers["test", server.id].claimed_at == server.claimed_at
        await world.until_ready(2)
        assert world.pool.stats().claims_total == 1


async def test_longest_ready_server_goes_first_and_none_is_given_twice() -> None:
    async with World(5).running() as world:
        await world.until_ready(5)
        first = min(world.servers(Phase.READY), key=lambda s: s.since)
        given = [await world.orchestrator.claims.claim() for _ in range(5)]
        assert given[0] is first
        assert len({s.id for s in given}) == 5


async def test_visitor_after_the_last_server_is_refused_and_counted() -> None:
    async with World(2).running() as world:
        await world.until_ready(2)
        results = await asyncio.gather(
            *(world.orchestrator.claims.claim() for _ in range(3)), return_exceptions=True
        )
        assert sum(isinstance(r, PoolEmptyError) for r in results) == 1
        assert world.pool.stats().claims_refused_total == 1


async def test_server_that_died_while_ready_is_never_handed_out() -> None:
    world = World(3, interval=60)
    async with world.running():
        await world.until_ready(3)
        dead = min(world.servers(Phase.READY), key=lambda s: s.since)
        world.kill(dead.id)
        server = await world.orchestrator.claims.claim()
        assert server is not dead
        assert dead.reason is StopReason.EXITED
        await world.until_gone(dead.id)


async def test_dead_ready_server_is_replaced_by_the_loop() -> None:
    async with World(2).running() as world:
        await world.until_ready(2)
        dead = world.servers(Phase.READY)[0]
        world.kill(dead.id)
        await world.until_gone(dead.id)
        await world.until_ready(2)
        assert dead.id not in world.instances()


async def test_lost_route_comes_back_and_activity_is_not_reset_by_a_second_post() -> None:
    async with World(1).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        world.proxy.restart()
        await wait_until(lambda: f"/user/{server.id}" in world.proxy.table)
        for _ in range(3):
            last = world.orchestrator.health.last_pass
            await wait_until(lambda last=last: world.orchestrator.health.last_pass != last)
        assert world.proxy.posts == [server.id, server.id]


async def test_idle_server_is_culled_only_on_the_callback() -> None:
    async with World(1, max_idle=100).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        world.clock.advance(101)
        last = world.orchestrator.health.last_pass
        await wait_until(lambda: world.orchestrator.health.last_pass != last)
        assert server.phase is Phase.CLAIMED
        world.orchestrator.cull()
        await world.until_gone(server.id)
        assert server.reason is StopReason.IDLE
        assert world.proxy.table == {}


async def test_server_that_says_it_is_in_use_is_not_idle() -> None:
    async with World(1, max_idle=100).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        world.clock.advance(150)
        world.engine.servers["test", server.id].last_activity = world.clock()
        await world.cull()
        assert server.phase is Phase.CLAIMED


async def test_server_older_than_cull_max_is_stopped_though_in_use() -> None:
    async with World(1, max_idle=100, max_age=1000).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        world.clock.advance(1001)
        world.engine.servers["test", server.id].last_activity = world.clock()
        await world.until_gone(server.id)
        assert server.reason is StopReason.TOO_OLD


class Asked(FakeSpawner):
    """Keeps whose CPU time was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[set[str]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.fails = False

    async def cpu_seconds(self, server_ids: Collection[str]) -> Mapping[str, float]:
        self.asked.append(set(server_ids))
        self.meanwhile()
        if self.fails:
            raise SpawnerError("the engine is away")
        return await super().cpu_seconds(server_ids)


def burning_world(capacity: int, max_burning: float = 200.0) -> tuple[World, Asked]:
    spawner = Asked()
    return World(capacity, spawner=spawner, max_idle=900, max_burning=max_burning), spawner


async def compute(world: World, seconds: float, *server_ids: str) -> None:
    """Let time go by in which these servers use a processor, and look."""
    world.clock.advance(seconds)
    for server in world.engine.servers.values():
        server.last_activity = world.clock()  # a busy kernel: not idle
    for server_id in server_ids:
        world.engine.servers["test", server_id].cpu_seconds += seconds
    await world.cull()


async def test_server_that_computes_for_long_with_nobody_there_is_stopped() -> None:
    world, spawner = burning_world(3)
    async with world.running():
        await world.until_ready(3)
        burning, visited = [await world.orchestrator.claims.claim() for _ in range(2)]
        for _ in range(4):
            assert burning.phase is Phase.CLAIMED
            await compute(world, 90, burning.id, visited.id)
            world.proxy.touch(visited.id, world.clock())
        assert burning.reason is StopReason.BURNING
        assert visited.phase is Phase.CLAIMED
        assert world.time_left.farewell(burning.id).reason is StopReason.BURNING
        assert {i for asked in spawner.asked for i in asked} <= {burning.id, visited.id}
        await world.until_gone(burning.id)


async def test_engine_is_asked_about_those_alone_that_nobody_is_at() -> None:
    world, spawner = burning_world(4)
    async with world.running():
        await world.until_ready(4)
        alone, visited = [await world.orchestrator.claims.claim() for _ in range(2)]
        world.clock.advance(70)
        world.proxy.touch(visited.id, world.clock())
        await compute(world, 10)
        assert spawner.asked == [{alone.id}]


async def test_without_a_limit_no_cpu_time_is_asked_for() -> None:
    world, spawner = burning_world(1, max_burning=float("inf"))
    async with world.running():
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        for _ in range(4):
            await compute(world, 90, server.id)
        assert server.phase is Phase.CLAIMED
        assert spawner.asked == []


async def test_engine_that_tells_nothing_ends_nobody() -> None:
    world, spawner = burning_world(1)
    spawner.fails = True
    async with world.running():
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        for _ in range(4):
            await compute(world, 90, server.id)
        assert server.phase is Phase.CLAIMED
        assert len(spawner.asked) >= 3
        assert world.orchestrator.health.problems == {}


@pytest.mark.parametrize("what", ["visitor is back", "proxy is anew", "proxy is away"])
async def test_what_happens_while_the_engine_is_asked_can_keep_the_server(what: str) -> None:
    world, spawner = burning_world(1)
    async with world.running():
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        for _ in range(3):
            await compute(world, 90, server.id)
        looks = len(spawner.asked)
        spawner.meanwhile = {
            "visitor is back": lambda: world.proxy.touch(server.id, world.clock()),
            "proxy is anew": world.proxy.restart,
            "proxy is away": lambda: setattr(world.proxy, "failure", ProxyError("away")),
        }[what]
        world.clock.advance(90)
        world.engine.servers["test", server.id].cpu_seconds += 90
        world.engine.servers["test", server.id].last_activity = world.clock()
        world.orchestrator.cull()
        await wait_until(lambda: len(spawner.asked) > looks)
        world.proxy.failure = None
        await world.passes(2)
        assert server.phase is Phase.CLAIMED


async def test_restart_keeps_claimed_servers_and_stops_those_of_unknown_history() -> None:
    before = World(3)
    async with before.crashing():
        await before.until_ready(3)
        kept = await before.orchestrator.claims.claim()
        unclaimed = {s.id for s in before.servers(Phase.READY)}
    before.proxy.restart()
    after = World(3, engine=before.engine, proxy=before.proxy, clock=before.clock)
    async with after.running():
        await wait_until(lambda: after.orchestrator.claims.live(kept.id))
        await wait_until(lambda: f"/user/{kept.id}" in after.proxy.table)
        await after.until_ready(2)
        assert after.orchestrator.claims.live(kept.id).claimed_at == kept.claimed_at
        assert not unclaimed & after.instances()
    await before.engine.close()


async def test_claim_survives_by_its_route_when_the_mark_was_not_written() -> None:
    before = World(2)
    async with before.crashing():
        await before.until_ready(2)
        kept = await before.orchestrator.claims.claim()
        before.engine.servers["test", kept.id].claimed_at = None
    after = World(2, engine=before.engine, proxy=before.proxy, clock=before.clock)
    async with after.running():
        await wait_until(lambda: after.orchestrator.claims.live(kept.id))
    await before.engine.close()


async def test_shutdown_stops_unclaimed_servers_and_leaves_claimed_ones() -> None:
    world = World(3)
    async with world.running(stop_claimed=False):
        await world.until_ready(3)
        server = await world.orchestrator.claims.claim()
    assert world.instances() == {server.id}
    assert f"/user/{server.id}" in world.proxy.table


async def test_shutdown_stops_all_when_asked_and_a_claim_after_it_is_refused() -> None:
    world = World(3)
    async with world.running():
        await world.until_ready(3)
        await world.orchestrator.claims.claim()
        world.orchestrator.shutdown(stop_claimed=True)
        with pytest.raises(PoolEmptyError):
            await world.orchestrator.claims.claim()
    assert world.instances() == set()
    assert world.proxy.table == {}


async def test_shutdown_during_starts_leaves_nothing_behind() -> None:
    class NeverReady(FakeSpawner):
        async def start(self, spec: ServerSpec) -> str:
            await super().start(spec)
            return "http://127.0.0.1:9"  # nothing answers there

    world = World(3, spawner=NeverReady())
    async with world.running():
        await wait_until(lambda: len(world.instances()) == 3)
    assert world.instances() == set()


async def test_two_pools_on_one_engine_and_proxy_leave_each_other_alone() -> None:
    world = World(2)
    other = FakeSpawner()
    other.engine, other.pool = world.engine, PoolIdentity("other")
    await other.setup()
    await other.start(ServerSpec("stranger", "/user/stranger/", "t"))
    world.proxy.table["/user/stranger"] = {"target": "http://x", "last_activity": 0.0}
    world.proxy.table["/"] = {"target": "http://y", "last_activity": 0.0}
    async with world.running():
        await world.until_ready(2)
        last = world.orchestrator.health.last_pass
        await wait_until(lambda: world.orchestrator.health.last_pass != last)
    assert ("other", "stranger") in world.engine.servers
    assert set(world.proxy.table) == {"/user/stranger", "/"}


async def test_engine_that_cannot_be_read_is_not_an_empty_one() -> None:
    class Blind(FakeSpawner):
        blind = False

        async def list(self):  # type: ignore[no-untyped-def]
            if self.blind:
                raise SpawnerError("the engine does not answer")
            return await super().list()

    spawner = Blind()
    async with World(2, spawner=spawner).running() as world:
        await world.until_ready(2)
        server = await world.orchestrator.claims.claim()
        spawner.blind = True
        await wait_until(lambda: "engine" in world.orchestrator.health.problems)
        assert server.phase is Phase.CLAIMED
        assert len(world.pool.servers) == 2
        spawner.blind = False
        await wait_until(lambda: not world.orchestrator.health.problems)


async def test_proxy_that_fails_costs_one_server_and_is_asked_before_the_next() -> None:
    world = World(4, interval=60)
    async with world.running():
        await world.until_ready(4)
        world.proxy.failure = ProxyError("the proxy does not answer")
        for _ in range(5):
            with pytest.raises(ProxyError):
                await world.orchestrator.claims.claim()
        lost = [s for s in world.pool.servers.values() if s.reason is StopReason.UNROUTABLE]
        assert len(lost) == 1
        world.proxy.failure = None
        world.orchestrator.wake()
        await world.until_ready(4)
        assert await world.orchestrator.claims.claim()


async def test_broken_image_backs_off_and_is_reported_once_with_its_last_words() -> None:
    class Broken(FakeSpawner):
        starts = 0

        async def start(self, spec: ServerSpec) -> str:
            type(self).starts += 1
            raise SpawnerError(f"container {spec.server_id} exited with code 1")

        async def logs(self, server_id: str, lines: int = 20) -> str:
            return "ImportError: no module named jupyter"

    world = World(3, spawner=Broken())
    async with world.running():
        await wait_until(lambda: "start" in world.orchestrator.health.problems)
        message = world.orchestrator.health.problems["start"].message
        assert "ImportError: no module named jupyter" in message
        await wait_until(lambda: not world.pool.servers)
        first_wave = Broken.starts
        assert first_wave <= 3
        for _ in range(4):
            last = world.orchestrator.health.last_pass
            await wait_until(lambda last=last: world.orchestrator.health.last_pass != last)
        assert Broken.starts == first_wave, "no new start while the clock stands still"
        world.clock.advance(120)
        await wait_until(lambda: first_wave + 1 == Broken.starts)
        await wait_until(lambda: not world.pool.servers)
        assert world.orchestrator.health.problems["start"].message == message


async def test_server_that_never_answers_is_stopped_not_pooled() -> None:
    class Silent(FakeSpawner):
        async def start(self, spec: ServerSpec) -> str:
            await super().start(spec)
            return "http://127.0.0.1:9"

    async with World(1, spawner=Silent(), start_timeout=0.3).running() as world:
        await wait_until(lambda: "start" in world.orchestrator.health.problems)
        assert not world.servers(Phase.READY)
        assert "did not respond in time" in world.orchestrator.health.problems["start"].message


async def test_server_that_exits_while_starting_is_not_waited_for_until_its_deadline() -> None:
    class Exits(FakeSpawner):
        async def start(self, spec: ServerSpec) -> str:
            await super().start(spec)
            self.engine.servers["test", spec.server_id].running = False
            return "http://127.0.0.1:9"

    async with World(1, spawner=Exits(), start_timeout=600).running() as world:
        await wait_until(lambda: "start" in world.orchestrator.health.problems)
        assert "exited before it responded" in world.orchestrator.health.problems["start"].message


async def test_stop_that_fails_is_repeated_until_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.lifecycle.STOP_RETRY", 0.01)

    class Sticky(FakeSpawner):
        refusals = 3

        async def stop(self, server_id: str) -> None:
            if self.refusals:
                self.refusals -= 1
                raise SpawnerError("device busy")
            await super().stop(server_id)

    async with World(1, spawner=Sticky()).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        world.clock.advance(1001)
        await world.until_gone(server.id)
        assert server.id not in world.instances()
        assert world.spawner.refusals == 0


async def test_stop_that_fails_is_told_of_only_when_the_next_try_fails_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.lifecycle.STOP_RETRY", 0.01)
    told: list[bool] = []  # at each try, whether the operator had been told

    class Sticky(FakeSpawner):
        async def stop(self, server_id: str) -> None:
            told.append("stop" in world.orchestrator.health.problems)
            if len(told) < 4:
                raise SpawnerError("device busy")
            await super().stop(server_id)

    world = World(1, spawner=Sticky())
    async with world.running():
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        world.clock.advance(1001)
        await world.until_gone(server.id)
        assert told[:4] == [False, False, True, True]
        assert "stop" not in world.orchestrator.health.problems


async def test_claim_is_given_though_the_engine_cannot_be_marked_and_marked_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.claim_writer.RETRY", 0.01)

    class Forgetful(FakeSpawner):
        refusals = 2

        async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
            if self.refusals:
                self.refusals -= 1
                raise SpawnerError("the engine restarts")
            await super().mark_claimed(server_id, claimed_at)

    async with World(1, spawner=Forgetful()).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        held = world.engine.servers["test", server.id]
        await wait_until(lambda: held.claimed_at == server.claimed_at)


async def test_old_id_is_reopened_with_the_same_token_and_never_over_capacity() -> None:
    async with World(2).running() as world:
        await world.until_ready(2)
        token = world.orchestrator.token_for("oldoldoldold")
        server = await world.orchestrator.claims.claim_as("oldoldoldold")
        assert world.orchestrator.token_for(server.id) == token
        assert world.orchestrator.claims.live("oldoldoldold") is server
        assert "/user/oldoldoldold" in world.proxy.table
        await wait_until(lambda: len(world.pool.servers) == 2)
        assert len(world.instances()) == 2


async def test_live_id_is_never_reopened() -> None:
    async with World(2).running() as world:
        await world.until_ready(2)
        server = await world.orchestrator.claims.claim()
        with pytest.raises(ServerExistsError):
            await world.orchestrator.claims.claim_as(server.id)
        with pytest.raises(ServerExistsError):
            await world.orchestrator.claims.claim_as(world.servers(Phase.READY)[0].id)
        assert server.phase is Phase.CLAIMED


async def test_path_of_somebody_else_is_never_taken() -> None:
    world = World(2)
    world.proxy.table["/user/foreign"] = {"target": "http://x", "last_activity": 0.0}
    async with world.running():
        await world.until_ready(2)
        with pytest.raises(ServerExistsError):
            await world.orchestrator.claims.claim_as("foreign")
        assert world.proxy.table["/user/foreign"]["target"] == "http://x"


async def test_reopening_needs_room_or_a_ready_server_to_give_up() -> None:
    async with World(1).running() as world:
        await world.until_ready(1)
        await world.orchestrator.claims.claim()
        with pytest.raises(PoolEmptyError):
            await world.orchestrator.claims.claim_as("oldoldoldold")


async def test_nothing_is_reopened_before_the_servers_of_the_former_run_are_known() -> None:
    """With engine and proxy restarted, a live server has no route and is not in the pool yet."""

    class Slow(FakeSpawner):
        may_look: asyncio.Event

        async def list(self):  # type: ignore[no-untyped-def]
            await self.may_look.wait()
            return await super().list()

    before = World(2)
    async with before.crashing():
        await before.until_ready(2)
        kept = await before.orchestrator.claims.claim()
    before.proxy.restart()
    spawner = Slow()
    spawner.may_look = asyncio.Event()
    after = World(2, spawner=spawner, engine=before.engine, proxy=before.proxy, clock=before.clock)
    async with after.running():
        assert not after.orchestrator.adopted
        with pytest.raises(PoolEmptyError):
            await after.orchestrator.claims.claim_as(kept.id)
        spawner.may_look.set()
        await wait_until(lambda: after.orchestrator.claims.live(kept.id))
        assert before.engine.servers["test", kept.id].running
    await before.engine.close()


async def test_failed_reopening_is_told_and_the_pool_is_whole_again() -> None:
    class Picky(FakeSpawner):
        async def start(self, spec: ServerSpec) -> str:
            if spec.server_id == "oldoldoldold":
                raise SpawnerError("no")
            return await super().start(spec)

    world = World(2, spawner=Picky())
    async with world.running():
        await world.until_ready(2)
        with pytest.raises(SpawnerError):
            await world.orchestrator.claims.claim_as("oldoldoldold")
        world.clock.advance(120)
        world.orchestrator.wake()
        await world.until_ready(2)


class Stuck(FakeSpawner):
    """Removes nothing while it is told not to."""

    image = "good:1"
    holds: asyncio.Event | None = None
    stops = 0

    async def prepare(self, image: str) -> None:
        """Know every image."""

    async def stop(self, server_id: str) -> None:
        self.stops += 1
        if self.holds is not None:
            await self.holds.wait()
        await super().stop(server_id)


async def test_reopening_waits_for_the_place_that_another_server_leaves() -> None:
    spawner = Stuck()
    async with World(1, spawner=spawner).running() as world:
        await world.until_ready(1)
        spawner.holds = asyncio.Event()
        reopening = asyncio.create_task(world.orchestrator.claims.claim_as("oldoldold"))
        await wait_until(lambda: spawner.stops)
        await world.passes(2)
        assert "oldoldold" not in world.instances(), "there would be two in a pool of one"
        spawner.holds.set()
        assert (await reopening).id == "oldoldold"


@pytest.mark.parametrize("what", ["reopen", "rollout"])
async def test_nobody_waits_without_end_for_a_place(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.lifecycle.PLACE_TIMEOUT", 0.05)
    spawner = Stuck()
    async with World(1, spawner=spawner).running() as world:
        await world.until_ready(1)
        spawner.holds = asyncio.Event()
        if what == "reopen":
            with pytest.raises(NoPlaceError, match="could not be removed within"):
                await world.orchestrator.claims.claim_as("oldoldold")
        else:
            with pytest.raises(RolloutRefusedError, match="no room to test an image"):
                await world.orchestrator.rollout.to("good:2")
            assert world.orchestrator.image == "good:1"
        assert "start" not in world.orchestrator.health.problems, "no fault of an image"
        spawner.holds.set()
        await world.until_ready(1)
        assert len(world.pool.servers) == 1


async def test_removal_without_an_answer_is_told_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.lifecycle.STOP_RETRY", 0.01)
    monkeypatch.setattr("tmpnb.orchestrator.lifecycle.STOP_TIMEOUT", 0.02)
    spawner = Stuck()
    async with World(1, spawner=spawner).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        spawner.holds = asyncio.Event()
        world.orchestrator.claims.close(server)
        await wait_until(lambda: "stop" in world.orchestrator.health.problems)
        spawner.holds = None
        await world.until_gone(server.id)


@pytest.mark.parametrize("down", ["engine", "proxy"])
async def test_failed_removals_are_not_told_of_while_engine_or_proxy_is_down(
    down: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They follow from it, and one fault is told of once."""
    monkeypatch.setattr("tmpnb.orchestrator.lifecycle.STOP_RETRY", 0.01)

    class Away(Stuck):
        answers = True

        async def stop(self, server_id: str) -> None:
            if not self.answers:
                self.stops += 1
                raise SpawnerError("no engine")
            await super().stop(server_id)

    spawner = Away()
    async with World(1, spawner=spawner).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        spawner.answers = False
        monkeypatch.setattr(world.orchestrator.health, "solved", lambda topic: None)
        world.orchestrator.health.report(down, "it is away")
        world.orchestrator.claims.close(server)
        await wait_until(lambda: spawner.stops > 3)
        assert "stop" not in world.orchestrator.health.problems
        del world.orchestrator.health.problems[down]
        await wait_until(lambda: "stop" in world.orchestrator.health.problems)
        spawner.answers = True
        await world.until_gone(server.id)


async def test_server_that_ends_while_a_pass_looks_keeps_its_true_reason() -> None:
    class Held(FakeSpawner):
        """Lists what was there when it was asked, once it may."""

        go: asyncio.Event | None = None
        looking = 0
        stopped: list[str]

        async def list(self) -> list[Instance]:
            found = await super().list()
            if self.go is not None:
                self.looking += 1
                await self.go.wait()
            return found

        async def stop(self, server_id: str) -> None:
            self.stopped.append(server_id)
            await super().stop(server_id)

    spawner = Held()
    spawner.stopped = []
    async with World(1, spawner=spawner).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        world.clock.advance(60)  # no instance is too young to judge
        spawner.go = asyncio.Event()
        world.orchestrator.wake()
        await wait_until(lambda: spawner.looking)
        world.orchestrator.claims.close(server)
        await world.until_gone(server.id)
        last, go = world.orchestrator.health.last_pass, spawner.go
        spawner.go = None
        go.set()
        await wait_until(lambda: world.orchestrator.health.last_pass != last)
        await world.passes(2)
        assert spawner.stopped.count(server.id) == 1, "what is gone is not stopped again"
        assert world.time_left.farewell(server.id).reason is StopReason.CLOSED


def test_what_is_known_of_an_ending_is_not_forgotten_for_an_instance_that_lingers() -> None:
    clock = FakeClock()
    pool = Pool(1, clock)
    for reason in (StopReason.IDLE, StopReason.UNKNOWN):
        server = NotebookServer("a", clock(), phase=Phase.CLAIMED)
        if reason is StopReason.UNKNOWN:
            server = NotebookServer("a", clock())
        pool.add(server)
        pool.move(server, Phase.STOPPING, reason)
        pool.move(server, Phase.GONE)
    ending = pool.endings.of("a")
    assert ending is not None
    assert ending.reason is StopReason.IDLE


async def test_clock_of_tests_moves() -> None:
    clock = FakeClock()
    assert clock() < clock()


async def test_ready_server_that_the_engine_started_anew_elsewhere_is_replaced() -> None:
    class Moving(FakeSpawner):
        moved = ""

        async def list(self) -> list[Instance]:
            found = await super().list()
            return [
                replace(i, address="http://127.0.0.1:9") if i.server_id == self.moved else i
                for i in found
            ]

    spawner = Moving()
    async with World(2, spawner=spawner).running() as world:
        await world.until_ready(2)
        spawner.moved = world.servers(Phase.READY)[0].id
        await world.until_gone(spawner.moved)
        await world.until_ready(2)


async def test_claimed_server_gets_time_to_come_back_and_its_route_follows() -> None:
    class Restarting(FakeSpawner):
        state: Mapping[str, object] = {}

        async def list(self) -> list[Instance]:
            return [replace(i, **self.state) if i.claimed_at else i for i in await super().list()]

    spawner = Restarting()
    async with World(1, spawner=spawner).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        for state in ({"paused": True}, {"returning": True, "address": None}):
            spawner.state = {"running": False} | state
            await world.passes(2)
            assert server.phase is Phase.CLAIMED
        spawner.state = {"address": "http://127.0.0.1:9"}
        route = f"/user/{server.id}"
        await wait_until(lambda: world.proxy.table[route]["target"] == "http://127.0.0.1:9")
        spawner.state = {"running": False, "returning": True}
        await world.passes(2)
        world.clock.advance(world.policy.comeback)
        await world.until_gone(server.id)
        assert server.reason is StopReason.EXITED


class EngineAway(FakeSpawner):
    """An engine that can go away, and take the way to its servers with it."""

    away = False

    def refuse_if_away(self) -> None:
        if self.away:
            raise SpawnerError("the engine does not answer")

    async def list(self) -> list[Instance]:
        self.refuse_if_away()
        return await super().list()

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        self.refuse_if_away()
        await super().mark_claimed(server_id, claimed_at)


async def test_while_engine_and_servers_are_away_visitors_burn_one_server_at_most() -> None:
    spawner = EngineAway()
    world = World(4, spawner=spawner, interval=60)
    async with world.running():
        await world.until_ready(4)
        spawner.away = True
        world.engine.answers = False
        for _ in range(5):
            with pytest.raises(PoolEmptyError):
                await world.orchestrator.claims.claim()
        assert len(world.servers(Phase.READY)) == 3
        assert "does not answer" in world.orchestrator.health.problems["engine"].message
        spawner.away, world.engine.answers = False, True
        assert (await world.orchestrator.claims.claim()).phase is Phase.CLAIMED


async def test_while_only_the_engine_is_away_visitors_get_servers() -> None:
    spawner = EngineAway()
    async with World(3, spawner=spawner).running() as world:
        await world.until_ready(3)
        spawner.away = True
        given = {(await world.orchestrator.claims.claim()).id for _ in range(3)}
        assert len(given) == 3
        spawner.away = False


async def test_abandoned_server_is_replaced_and_never_given_again() -> None:
    async with World(2).running() as world:
        await world.until_ready(2)
        server = await world.orchestrator.claims.claim()
        world.orchestrator.claims.abandon(server.id)
        world.orchestrator.claims.abandon("nobody")
        assert server.reason is StopReason.ABANDONED
        await world.until_gone(server.id)
        await world.until_ready(2)
        assert world.proxy.table == {}


async def test_readiness_says_what_a_visitor_would_lack() -> None:
    spawner = EngineAway()
    world = World(1, spawner=spawner)
    assert world.orchestrator.readiness() == {"engine": False, "proxy": False, "servers": True}
    async with world.running():
        await world.until_ready(1)
        assert all(world.orchestrator.readiness().values())
        await world.orchestrator.claims.claim()
        assert world.orchestrator.readiness()["servers"] is False
        spawner.away = True
        world.orchestrator.wake()
        await wait_until(lambda: not world.orchestrator.readiness()["engine"])
        spawner.away = False


class BarredSpawner(FakeSpawner):
    """An engine whose servers would reach what they must not, as long as the test says so."""

    reason = ""

    def barred(self) -> str:
        return self.reason


async def test_while_servers_would_reach_too_much_none_is_started_or_given_and_it_is_told() -> None:
    spawner = BarredSpawner()
    world = World(2, spawner=spawner)
    async with world.running():
        await world.until_ready(2)
        spawner.reason = "no firewall; mend it"
        with pytest.raises(PoolEmptyError):
            await world.orchestrator.claims.claim()
        dead = world.servers(Phase.READY)[0]
        world.kill(dead.id)
        await world.until_gone(dead.id)
        await world.passes(3)
        assert len(world.pool.servers) == 1, "no other is started"
        assert world.orchestrator.health.problems["egress"].message == spawner.reason
        assert not world.orchestrator.readiness()["servers"]
        spawner.reason = ""
        await world.until_ready(2)
        assert "egress" not in world.orchestrator.health.problems
        await world.orchestrator.claims.claim()


class UnreadySpawner(FakeSpawner):
    """An engine that is still getting what servers of some images need."""

    reasons: Mapping[str, str] = {}

    def unready(self, image: str) -> str:
        return self.reasons.get(image, "")


async def test_while_an_image_is_not_ready_none_of_it_is_started_and_those_there_are_given() -> (
    None
):
    spawner = UnreadySpawner()
    world = World(2, spawner=spawner)
    spawner.reasons = {"": "being copied"}
    async with world.running():
        await world.passes(3)
        health = world.orchestrator.health
        assert not world.pool.servers
        assert IMAGE not in health.problems, "it may take a moment only"
        assert not world.orchestrator.readiness()["servers"]
        world.clock.advance(MOMENT)
        await world.passes(2)
        assert health.problems[IMAGE].message == "being copied"
        spawner.reasons = {}
        await world.until_ready(2)
        assert IMAGE not in health.problems
        spawner.reasons = {"": "being copied again"}
        await world.orchestrator.claims.claim()
        assert world.orchestrator.readiness()["servers"]
