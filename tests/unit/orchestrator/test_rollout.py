"""Replace a pool's unclaimed servers while it serves: drains, other images, old age."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.world import World, wait_until
from tmpnb.core.server import Phase, StopReason
from tmpnb.errors import ConfigError, ImageFailedError, RolloutRefusedError, SpawnerError
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.fake import FakeSpawner

pytestmark = pytest.mark.gen_test(timeout=20)


class Images(FakeSpawner):
    """An engine that knows good images, and one that does not start."""

    image = "good:1"
    hold: asyncio.Event | None = None  # starts wait for it

    async def prepare(self, image: str) -> None:
        if image == "absent:1":
            raise ConfigError(f"--image={image}: the engine does not have it")

    async def start(self, spec: ServerSpec) -> str:
        if self.hold is not None:
            await self.hold.wait()
        if spec.image == "broken:1":
            raise SpawnerError("it ended with exit code 127")
        return await super().start(spec)

    async def logs(self, server_id: str, lines: int = 20) -> str:
        return "jupyter: not found"


def images(world: World) -> list[str]:
    """What the ready servers were started from."""
    return sorted(s.image for s in world.servers(Phase.READY))


async def test_drain_goes_on_until_all_unclaimed_ones_are_new() -> None:
    async with World(4).running() as world:
        await world.until_ready(4)
        server = await world.orchestrator.claims.claim()
        await world.until_ready(3)
        old = {s.id for s in world.servers(Phase.READY)}
        assert world.orchestrator.rollout.drain() == 3
        await wait_until(lambda: not old & world.instances())
        await world.until_ready(3)
        assert server.phase is Phase.CLAIMED


async def test_drain_never_leaves_fewer_ready_than_min_ready_while_there_is_room() -> None:
    world = World(8, min_ready=4)
    async with world.running():
        await world.until_ready(4)
        old = {s.id for s in world.servers(Phase.READY)}
        fewest = 4
        world.orchestrator.rollout.drain()

        def replaced() -> bool:
            nonlocal fewest
            fewest = min(fewest, len(world.servers(Phase.READY)))
            return not old & world.instances()

        await wait_until(replaced)
        await world.until_ready(4)
        assert fewest == 4


async def test_drain_stops_few_when_new_ones_do_not_start() -> None:
    spawner = Images()
    async with World(4, spawner=spawner).running() as world:
        await world.until_ready(4)
        spawner.hold = asyncio.Event()
        world.orchestrator.rollout.drain()
        await wait_until(lambda: world.servers(Phase.STARTING))
        last = world.orchestrator.health.last_pass
        await wait_until(lambda: world.orchestrator.health.last_pass != last)
        assert len(world.servers(Phase.READY)) == 3
        spawner.hold.set()
        await wait_until(lambda: not any(s.drained for s in world.pool.servers.values()))


async def test_visitor_gets_a_drained_server_only_when_there_is_no_other() -> None:
    spawner = Images()
    async with World(3, spawner=spawner).running() as world:
        await world.until_ready(3)
        newest = max(world.servers(Phase.READY), key=lambda s: s.since)
        for server in world.servers(Phase.READY):
            server.drained = server is not newest
        spawner.hold = asyncio.Event()
        assert await world.orchestrator.claims.claim() is newest
        assert (await world.orchestrator.claims.claim()).drained
        spawner.hold.set()


async def test_old_unclaimed_servers_are_rotated_and_claimed_ones_stay() -> None:
    world = World(2, ready_max_age=100)
    async with world.running():
        await world.until_ready(2)
        kept = await world.orchestrator.claims.claim()
        old = world.servers(Phase.READY)
        world.clock.advance(101)
        world.orchestrator.wake()
        for server in old:
            await world.until_gone(server.id)
            assert server.reason is StopReason.ROTATED
        await world.until_ready(1)
        assert kept.phase is Phase.CLAIMED


async def test_another_image_replaces_the_old_one_after_it_has_proved_itself() -> None:
    async with World(4, spawner=Images()).running() as world:
        await world.until_ready(4)
        assert await world.orchestrator.rollout.to("good:2") == 3
        assert world.orchestrator.image == "good:2"
        await wait_until(lambda: images(world) == ["good:2"] * 4)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (
            "broken:1",
            "exit code 127; its last lines:\njupyter: not found; the pool stays on good:1",
        ),
        ("absent:1", "the engine does not have it; the pool stays on good:1"),
    ],
)
async def test_image_that_fails_changes_nothing(image: str, words: str) -> None:
    async with World(3, min_ready=2, spawner=Images()).running() as world:
        await world.until_ready(2)
        before = set(world.instances())
        with pytest.raises(ImageFailedError, match="stays on good:1") as failure:
            await world.orchestrator.rollout.to(image)
        assert words in str(failure.value)
        assert world.orchestrator.image == "good:1"
        assert "start" not in world.orchestrator.health.problems
        await wait_until(lambda: set(world.instances()) == before)
        assert not any(s.drained for s in world.pool.servers.values())
        await world.orchestrator.claims.claim()
        await world.until_ready(2)  # no pause for a failure that was no failure of the pool
        assert images(world) == ["good:1"] * 2


async def test_one_image_is_tried_at_a_time() -> None:
    spawner = Images()
    async with World(3, spawner=spawner).running() as world:
        await world.until_ready(3)
        spawner.hold = asyncio.Event()
        first = asyncio.create_task(world.orchestrator.rollout.to("good:2"))
        await wait_until(lambda: world.servers(Phase.STARTING))
        with pytest.raises(RolloutRefusedError, match="good:2 is being tried"):
            await world.orchestrator.rollout.to("good:3")
        spawner.hold.set()
        assert await first == 2
        assert await world.orchestrator.rollout.to("good:3") == 2


async def test_no_visitor_is_named_where_servers_are_only_being_started() -> None:
    spawner = Images()
    async with World(1, spawner=spawner).running() as world:
        await world.until_ready(1)
        spawner.hold = asyncio.Event()
        world.orchestrator.rollout.drain()
        await wait_until(lambda: world.servers(Phase.STARTING))
        with pytest.raises(RolloutRefusedError, match="no server is ready"):
            await world.orchestrator.rollout.to("good:2")
        spawner.hold.set()


async def test_a_rollout_in_the_background_tells_how_it_goes() -> None:
    spawner = Images()
    async with World(3, spawner=spawner).running() as world:
        await world.until_ready(3)
        rollout = world.orchestrator.rollout
        rollout.start("broken:1")
        with pytest.raises(RolloutRefusedError, match="broken:1 is being tried"):
            rollout.start("good:2")
        assert rollout.trying == "broken:1"
        await wait_until(lambda: not rollout.trying)
        assert rollout.failure
        assert rollout.failure.image == "broken:1"
        assert "the pool stays on good:1" in rollout.failure.why
        rollout.start("good:2")
        assert rollout.failure is None
        await wait_until(lambda: images(world) == ["good:2"] * 3)


async def test_no_image_is_tried_at_the_cost_of_a_visitor() -> None:
    async with World(2, spawner=Images()).running() as world:
        await world.until_ready(2)
        taken = [await world.orchestrator.claims.claim() for _ in range(2)]
        with pytest.raises(RolloutRefusedError, match="every place is taken by a visitor"):
            await world.orchestrator.rollout.to("good:2")
        assert all(server.phase is Phase.CLAIMED for server in taken)
