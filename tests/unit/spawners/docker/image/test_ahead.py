"""What servers need of an image is copied before the first of them is started."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop

from tests.support.docker_stand_in import Engine, StandIn
from tests.support.world import wait_until
from tmpnb.errors import SpawnerError
from tmpnb.spawners.base import PoolIdentity, ServerSpec
from tmpnb.spawners.docker.image import ahead
from tmpnb.spawners.docker.image.copies import PREFIX
from tmpnb.spawners.docker.kit_volume import LABEL
from tmpnb.spawners.docker.spawner import DockerSpawner

pytestmark = pytest.mark.gen_test(timeout=30)

IMAGE = "lesson"
COPY = "POST .*/containers/create.*tmpnb-copy"
MAKE = "POST /containers/create"
SPECS = [ServerSpec(name, f"/user/{name}/", "secret") for name in ("abc", "def")]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    running = Engine()
    running.state.volumes = {}
    monkeypatch.setenv("DOCKER_HOST", running.state.url)
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    yield running.state
    running.close()


class Clock:
    """Stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class News:
    """Counts how often the loop was woken, and does what a test wants then."""

    count = 0

    def __call__(self) -> None:
        self.count += 1
        self.then()

    @staticmethod
    def then() -> None:
        """Do nothing more."""


def prepared(engine: StandIn, io_loop: IOLoop, *, volumes: bool) -> DockerSpawner:
    engine.image_volumes = {"/data": {}} if volumes else None
    spawner = DockerSpawner(image=IMAGE, disk_limit="8m", read_only=True)
    spawner.pool = PoolIdentity("pool")
    spawner.on_news = News()
    io_loop.run_sync(spawner.setup)
    assert spawner._ahead is not None
    spawner._ahead._now = Clock()
    return spawner


@pytest.fixture
def spawner(engine: StandIn, io_loop: IOLoop) -> Iterator[DockerSpawner]:
    """Give a spawner whose servers have a home in memory, and a volume with it."""
    made = prepared(engine, io_loop, volumes=True)
    yield made
    io_loop.run_sync(made.close)


@pytest.fixture
def of_a_home(engine: StandIn, io_loop: IOLoop) -> Iterator[DockerSpawner]:
    """Give a spawner whose servers have a home in memory, and no volumes."""
    made = prepared(engine, io_loop, volumes=False)
    yield made
    io_loop.run_sync(made.close)


def later(spawner: DockerSpawner, seconds: float) -> None:
    assert spawner._ahead is not None
    assert isinstance(spawner._ahead._now, Clock)
    spawner._ahead._now.now += seconds


def news(spawner: DockerSpawner) -> int:
    assert isinstance(spawner.on_news, News)
    return spawner.on_news.count


async def until_ready(spawner: DockerSpawner, image: str = "") -> None:
    await wait_until(lambda: spawner.unready(image) == "")


async def test_setting_up_copies_nothing_since_another_orchestrator_may_have_the_pool(
    engine: StandIn, spawner: DockerSpawner
) -> None:
    assert engine.requests("tmpnb-copy|/volumes") == []


async def test_copies_are_made_before_the_first_start_and_then_the_loop_is_woken(
    engine: StandIn, spawner: DockerSpawner
) -> None:
    held = engine.hold(MAKE)
    assert "being copied from the image lesson" in spawner.unready("")
    assert await asyncio.to_thread(engine.wait_for, COPY)
    assert "are being copied" in spawner.unready(IMAGE), "as long as it takes"
    assert await spawner.list() == [], "everything else goes on"
    assert news(spawner) == 0
    held.set()
    await wait_until(lambda: news(spawner) == 1)
    assert spawner.unready("") == ""
    assert len(engine.requests(COPY)) == 2
    assert await spawner.start(SPECS[0])
    assert len(engine.requests(COPY)) == 2


async def test_starts_that_come_sooner_wait_for_one_copy(
    engine: StandIn, spawner: DockerSpawner
) -> None:
    held = engine.hold(MAKE)
    starts = [asyncio.create_task(spawner.start(spec)) for spec in SPECS]
    assert await asyncio.to_thread(engine.wait_for, COPY)
    assert engine.requests("containers/create.*name=tmpnb-pool-") == []
    held.set()
    assert len(await asyncio.gather(*starts)) == 2
    assert len(engine.requests(COPY)) == 2


async def test_a_start_that_is_given_up_leaves_the_copy_going_on(
    engine: StandIn, spawner: DockerSpawner
) -> None:
    held = engine.hold(MAKE)
    start, other = (asyncio.create_task(spawner.start(spec)) for spec in SPECS)
    assert await asyncio.to_thread(engine.wait_for, COPY)
    start.cancel()
    await asyncio.wait({start})
    held.set()
    assert await other
    assert len(engine.requests(COPY)) == 2


async def test_what_cannot_be_copied_is_said_and_tried_again_ever_more_rarely(
    engine: StandIn, spawner: DockerSpawner
) -> None:
    engine.refuse(f"{MAKE}", 500, "no space left")
    assert spawner.unready("")
    await wait_until(lambda: news(spawner) == 1)
    said = spawner.unready("")
    assert "the files of lesson in /data could not be copied: no space left" in said
    tries = len(engine.requests(COPY))
    with pytest.raises(SpawnerError, match="no space left"):
        await spawner.start(SPECS[0])
    assert spawner.unready("") == said
    assert len(engine.requests(COPY)) == tries, "not at each start, nor at each pass"
    later(spawner, ahead.FIRST_PAUSE)
    assert spawner.unready("") == said, "the same words, so that they are logged once"
    await wait_until(lambda: len(engine.requests(COPY)) == 2 * tries)
    await wait_until(lambda: not spawner._ahead._tasks)  # type: ignore[union-attr]  # set up
    later(spawner, ahead.FIRST_PAUSE)
    spawner.unready("")
    assert not spawner._ahead._tasks, "twice as long now"  # type: ignore[union-attr]
    engine.rules.clear()
    later(spawner, ahead.FIRST_PAUSE)
    await until_ready(spawner)
    assert news(spawner) == 2
    assert await spawner.start(SPECS[0])


async def test_who_is_woken_by_a_failure_can_have_it_tried_again_at_once(
    engine: StandIn, spawner: DockerSpawner
) -> None:
    tried: list[int] = []

    def look_again() -> None:
        tried.append(len(engine.requests(COPY)))
        later(spawner, ahead.FIRST_PAUSE)
        spawner.unready("")

    assert isinstance(spawner.on_news, News)
    spawner.on_news.then = look_again
    engine.refuse(MAKE, 500, "no space left")
    assert spawner.unready("")
    await wait_until(lambda: tried and len(engine.requests(COPY)) == 2 * tried[0])


async def test_a_home_that_cannot_be_copied_keeps_no_server_and_is_tried_again(
    engine: StandIn, of_a_home: DockerSpawner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    engine.refuse(MAKE, 500, "no space left", times=1)
    await until_ready(of_a_home)
    assert await of_a_home.start(SPECS[0])
    assert "Entrypoint" not in engine.bodies[-1]
    assert "homes in memory start empty image=lesson: no space left" in caplog.text
    later(of_a_home, ahead.FIRST_PAUSE)
    assert of_a_home.unready("") == ""
    await wait_until(lambda: "start as in the image again" in caplog.text)
    assert await of_a_home.start(SPECS[1])
    assert "tmpnb" in engine.bodies[-1]["Entrypoint"]


async def test_a_volume_that_somebody_removed_is_copied_again_by_the_start_that_misses_it(
    engine: StandIn, spawner: DockerSpawner
) -> None:
    await until_ready(spawner)
    engine.volumes = {}
    assert await spawner.start(SPECS[0])
    assert len(engine.requests(COPY)) == 4
    mounts = engine.bodies[-1]["HostConfig"]["Mounts"]
    used = {mount["Source"] for mount in mounts if mount["Source"].startswith(PREFIX)}
    assert used
    assert used <= set(engine.volumes)


async def test_another_image_is_copied_from_before_it_is_prepared(
    engine: StandIn, spawner: DockerSpawner
) -> None:
    await until_ready(spawner)
    engine.rule("GET /images/next.*", lambda: (200, about_next()))
    begun = len(engine.requests("POST .*/volumes/create"))
    held = engine.hold("POST /volumes/create")
    preparing = asyncio.create_task(spawner.prepare("next"))
    await wait_until(lambda: len(engine.requests("POST .*/volumes/create")) > begun)
    assert not preparing.done()
    assert spawner.unready(IMAGE) == "", "servers of the other go on"
    held.set()
    await preparing
    assert spawner.unready("next") == ""
    made = len(engine.requests(COPY))
    assert await spawner.start(ServerSpec("x", "/user/x/", "secret", "next"))
    assert len(engine.requests(COPY)) == made


async def test_an_image_that_cannot_be_copied_from_is_not_prepared_until_it_can(
    engine: StandIn, spawner: DockerSpawner
) -> None:
    await until_ready(spawner)
    engine.rule("GET /images/next.*", lambda: (200, about_next()))
    engine.refuse(f"{MAKE}", 500, "no space left")
    with pytest.raises(
        SpawnerError, match="the files of next in /data could not be copied: no space left"
    ):
        await spawner.prepare("next")
    engine.rules.pop()
    await spawner.prepare("next")
    assert spawner.unready(IMAGE) == ""


def about_next() -> dict[str, object]:
    return {"Id": "sha256:2", "Config": {"User": "1000", "Volumes": {"/data": {}}}}


async def test_what_former_runs_left_goes_though_nothing_is_copied_any_more(
    engine: StandIn, io_loop: IOLoop
) -> None:
    ours = {LABEL: "pool"}
    engine.volumes = {f"{PREFIX}pool-old": ours, f"{PREFIX}other-1": {LABEL: "other"}}
    spawner = DockerSpawner(image=IMAGE)
    spawner.pool = PoolIdentity("pool")
    await spawner.setup()
    assert spawner.unready("") == ""
    await wait_until(lambda: f"{PREFIX}pool-old" not in (engine.volumes or {}))
    assert set(engine.volumes) == {f"{PREFIX}other-1"}
    assert spawner.unready("") == ""
    await spawner.close()


async def test_only_copies_of_its_own_go_with_a_spawner(
    engine: StandIn, of_a_home: DockerSpawner
) -> None:
    def copies() -> set[str]:
        return {name for name in engine.volumes or () if name.startswith(PREFIX)}

    await until_ready(of_a_home)
    [own] = copies()
    refused = DockerSpawner(image=IMAGE, disk_limit="8m", read_only=True)
    refused.pool = of_a_home.pool
    await refused.setup()
    await refused.close()  # somebody has the pool already
    assert copies() == {own}
    await of_a_home.close()
    assert copies() == set()
