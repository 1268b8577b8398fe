"""Images that do not work: found out, told once, costing little; and changed under way."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from tests.e2e.faults.run import Run
from tests.e2e.running_service import PERSON, Service
from tests.support.engines.docker import RealEngine
from tests.support.requirements import TEST_IMAGE

pytestmark = [
    pytest.mark.faults,
    pytest.mark.docker,
    pytest.mark.chp,
    pytest.mark.gen_test(timeout=240),
]

# What an image does in place of any command.
EXITS = "echo these are my last words; exit 3"
IS_SILENT = "exec sleep 600"
SERVES_ELSEWHERE = "exec python3 -m http.server 8888"
ABSENT = "127.0.0.1:1/absent:1"
FIRST_PAUSE = 0.8  # seconds that launches rest after a failure, at least; then ever twice as long


class Images:
    """Images of one run, made from the notebook image and removed at the end."""

    def __init__(self, engine: RealEngine) -> None:
        self._engine, self._names = engine, list[str]()

    def good(self, version: str = "good") -> str:
        """Return the name of one that works."""
        name = f"tmpnb-test/run-{self._engine.run}"
        self._engine.client.tag(TEST_IMAGE, name, version)
        return self._noted(f"{name}:{version}")

    def bad(self, script: str) -> str:
        """Return the name of one that runs `script` whatever it is told to run."""
        name, client = f"tmpnb-test/run-{self._engine.run}", self._engine.client
        made = client.create_container(TEST_IMAGE, "true", labels=self._engine.labels)
        entry = f"ENTRYPOINT {json.dumps(['sh', '-c', script])}"
        client.commit(made, name, "bad", changes=entry)
        client.remove_container(made)
        return self._noted(f"{name}:bad")

    def remove(self) -> None:
        for name in self._names:
            self._engine.client.remove_image(name, force=True)

    def _noted(self, name: str) -> str:
        self._names.append(name)
        return name


@pytest.fixture
def images(run: Run) -> Iterator[Images]:
    assert run.engine is not None
    made = Images(run.engine)
    yield made
    run.census.clear()  # an image in use cannot be removed
    made.remove()


async def roll(service: Service, body: str) -> HTTPResponse:
    """Ask for another image with a body as it is."""
    url = f"http://127.0.0.1:{service.admin_port}/api/pool"
    return await service.client.fetch(url, timeout=60, method="POST", body=body)


async def roll_to(service: Service, image: str) -> dict[str, Any]:
    answer = await roll(service, json.dumps({"image": image}))
    assert answer.code == 200, answer.body
    return dict(json.loads(answer.body))


async def refused(service: Service, image: str) -> str:
    """Return why an image is refused."""
    answer = await roll(service, json.dumps({"image": image}))
    error = json.loads(answer.body)["error"]
    assert (answer.code, error["code"]) == (409, "image_failed")
    return str(error["message"])


def failed_starts(service: Service) -> int:
    """Return how many servers did not start, by the log."""
    return service.log.read_text().count("from=starting to=stopping reason=start_failed")


def images_of(run: Run) -> set[str]:
    """Return which images the servers were started from."""
    assert run.engine is not None
    return {container["Config"]["Image"] for container in run.engine.containers()}


@asynccontextmanager
async def watching(service: Service) -> AsyncIterator[list[int]]:
    """Note all the time how many servers are ready."""
    seen: list[int] = []

    async def watch() -> None:
        while True:  # until it is cancelled at the end of the block
            seen.append((await service.numbers())["available"])

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait({task})


async def turned_away(service: Service) -> None:
    """Check that visitors get an honest answer."""
    page = await service.fetch("/spawn", headers=PERSON)
    assert (page.code, int(page.headers["Retry-After"]) > 0) == (503, True)
    told = await service.fetch("/api/spawn", method="POST", body="")
    assert (told.code, json.loads(told.body)["status"]) == (429, "full")


@pytest.mark.parametrize(
    ("script", "words", "again"),
    [
        pytest.param(EXITS, "these are my last words", 3, id="exits"),
        pytest.param(IS_SILENT, "did not answer in time", 1, id="is_silent"),
        pytest.param(SERVES_ELSEWHERE, "HTTP 404", 1, id="serves_elsewhere"),
    ],
)
async def test_image_that_does_not_work_is_told_once_and_tried_ever_more_rarely(
    run: Run, images: Images, script: str, words: str, again: int
) -> None:
    begun, bad = time.monotonic(), images.bad(script)
    async with run.serving(f"--image={bad}", "--start-timeout=6", "--pool-size=2") as service:
        told = await service.until_trouble("start")
        assert words in told
        await turned_away(service)
        await service.until(lambda _: failed_starts(service) >= 2 + again, "tried again")
        most = 3 + math.log2(1 + (time.monotonic() - begun) / FIRST_PAUSE)
        assert failed_starts(service) <= most, "the first two, and then one after each pause"
        [(topic, still)] = (await service.problems()).items()
        assert (topic, words in still) == ("start", True)
        run.said_once(service, told)
        good = images.good()
        assert (await roll_to(service, good))["image"] == good
        await run.whole(service, available=2)
        assert images_of(run) == {good}


async def test_restart_with_an_image_that_does_not_work_keeps_the_visitors(
    run: Run, images: Images
) -> None:
    service = run.service("--stop-servers-on-exit=false", "--pool-size=2")
    good, bad = f"--image={TEST_IMAGE}", f"--image={images.bad(EXITS)}"
    async with run.started(service):
        await service.until_ready(2)
        url = await service.take("/lab")
        await run.whole(service, url, available=1)
        await restart(service, good, bad)
        assert "these are my last words" in await service.until_trouble("start")
        assert await run.opens(service, url)
        await turned_away(service)
        await restart(service, bad, good)
        await run.whole(service, url, available=1)
        await restart(service, "--stop-servers-on-exit=false", "--stop-servers-on-exit")
        await run.whole(service, url, available=1)


async def restart(service: Service, flag: str, instead: str) -> None:
    """End the service and start it with another flag."""
    assert flag in service.flags
    await service.stop()
    service.flags = tuple(instead if f == flag else f for f in service.flags)
    await service.start()


async def test_rollout_replaces_unclaimed_servers_and_never_runs_short(
    run: Run, images: Images
) -> None:
    async with run.serving("--pool-size=4", "--min-ready=2") as service:
        await service.until_ready(2)
        url = await service.take("/lab")
        await run.whole(service, url, available=2)
        old, new = set(run.census.instances()), images.good("new")
        async with watching(service) as ready:
            answer = await roll_to(service, new)
            assert answer == {"image": new, "drained": 2}
            await service.until(lambda _: len(old & set(run.census.instances())) == 1, "replaced")
            await run.whole(service, url, available=2)
            assert (await service.stats())["container_image"] == new
            old = set(run.census.instances())
            assert await service.drain() == 2
            await service.until(lambda _: len(old & set(run.census.instances())) == 1, "replaced")
            await run.whole(service, url, available=2)
        assert min(ready) >= 2, "there was room for a new one beside an old one"
        assert images_of(run) == {TEST_IMAGE, new}


@pytest.mark.parametrize("size", [pytest.param(4, id="room"), pytest.param(3, id="full")])
async def test_image_that_fails_changes_nothing(run: Run, images: Images, size: int) -> None:
    async with run.serving(f"--pool-size={size}", "--min-ready=2") as service:
        await service.until_ready(2)
        url = await service.take("/lab")
        await run.whole(service, url, available=2)
        before = set(run.census.instances())
        why = await refused(service, images.bad(EXITS))
        assert "these are my last words" in why
        assert TEST_IMAGE in why, "it says which image the pool stays on"
        assert "127.0.0.1:1" in await refused(service, ABSENT)
        await run.whole(service, url, available=2)
        lost = before - set(run.census.instances())
        assert len(lost) <= (0 if size == 4 else 1), "without room one ready server made place"
        assert (await service.stats())["container_image"] == TEST_IMAGE
        other = await service.take("/lab")
        await run.whole(service, url, other, available=size - 2)
        assert images_of(run) == {TEST_IMAGE}
        run.said_once(service, "rollout refused image=" + ABSENT)


async def test_rollout_without_a_proper_name_is_refused_in_words(run: Run) -> None:
    bodies = [
        "",
        "image",
        "[]",
        "{}",
        '{"image": 3}',
        '{"image": ""}',
        '{"image": "a b"}',
        '{"image": "--rm"}',
        '{"image": "a", "more": 1}',
        '{"image": "' + "a" * 5000 + '"}',
    ]
    async with run.serving("--pool-size=1") as service:
        await service.until_ready(1)
        before = set(run.census.instances())
        for body in bodies:
            answer = await roll(service, body)
            error = json.loads(answer.body)["error"]
            assert (answer.code, "image" in error["message"]) == (400, True), body
        await run.whole(service, available=1)
        assert set(run.census.instances()) == before
