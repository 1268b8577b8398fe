"""The engine's daemon goes down and comes back: with live-restore, without, with the machine."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.faults.own_engine import OwnEngine
from tests.e2e.faults.run import Run
from tests.e2e.faults.visitor import JUPYTER, PAUSE, Newcomer, Visitor
from tests.e2e.running_service import START, Service
from tests.support.engines.contract import wait_until
from tests.support.requirements import TEST_IMAGE
from tmpnb.errors import UnreachableError

pytestmark = [
    pytest.mark.faults,
    pytest.mark.docker,
    pytest.mark.chp,
    pytest.mark.xdist_group("dockerd_restart"),
    pytest.mark.long,
    pytest.mark.gen_test(timeout=300),
]
ENDINGS = [pytest.param(signal.SIGTERM, id="sigterm"), pytest.param(signal.SIGKILL, id="sigkill")]
WORK = "the work of an hour"
WAIT_PAGE = {200, 503}  # what a visitor may see meanwhile: their server, or a page that waits


@pytest.fixture(scope="module")
def engine() -> Iterator[OwnEngine]:
    made = OwnEngine.running(TEST_IMAGE)
    yield made
    made.close()


@pytest.fixture
def run(engine: OwnEngine) -> Iterator[Run]:
    """A run on the suite's own engine, in its network."""
    engine.run = secrets.token_hex(6)
    with engine.network.inside():
        made = Run(engine, engine.run)
        made.environment["DOCKER_HOST"] = engine.host
        yield made
        engine.begin()
        made.close()


async def newcomer_meanwhile(run: Run, service: Service) -> Newcomer:
    """Check what everybody is told while the daemon is down; return one who was turned away."""
    newcomer = Newcomer(service)
    for _ in range(4):  # one after the other, so that each might cost a server
        assert not await newcomer.asks()
    words = await service.until_trouble("engine")
    assert "\n" not in words
    assert (await service.fetch("/stats")).code == 200
    assert set(await service.problems()) <= {"engine", "start"}, "a start may have been under way"
    run.said_once(service, words)
    return newcomer


@pytest.mark.parametrize("ending", ENDINGS)
async def test_with_live_restore_every_server_is_kept(
    engine: OwnEngine, run: Run, ending: signal.Signals
) -> None:
    engine.begin(live_restore=True)
    async with run.serving(JUPYTER, "--pool-size=4", "--min-ready=2") as service:
        await service.until_ready(2)
        visitor = await Visitor.arriving(service)
        await visitor.save(WORK)
        kernel = await visitor.start_kernel()
        await run.whole(service, visitor.url, available=2)
        before = set(run.census.instances())
        async with visitor.looking():
            engine.stop(ending)
            newcomer = await newcomer_meanwhile(run, service)
            engine.start(live_restore=True)
            await all_are_back([visitor])
            urls = [visitor.url, await newcomer.served()]
            await run.whole(service, *urls, available=2)
        assert visitor.codes <= WAIT_PAGE
        assert len(before - set(run.census.instances())) <= 1, "the pool was spent for nothing"
        assert await visitor.saved() == WORK
        assert await visitor.kernels() == {kernel}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_without_live_restore_claimed_servers_come_back_with_their_files(
    engine: OwnEngine, run: Run, ending: signal.Signals
) -> None:
    engine.begin()
    async with run.serving(JUPYTER, "--pool-size=4", "--min-ready=1") as service:
        visitors = await two_who_saved(service)
        urls = [visitor.url for visitor in visitors]
        await run.whole(service, *urls, available=1)
        async with visitors[0].looking(), visitors[1].looking():
            engine.stop(ending)
            newcomer = await newcomer_meanwhile(run, service)
            engine.start()
            await all_are_back(visitors)
            urls.append(await newcomer.served())
            await run.whole(service, *urls, available=1)
        await both_have_their_files(visitors)
        assert visitors[0].codes | visitors[1].codes <= WAIT_PAGE
        assert strangers_at(engine) == [], "a request, token and all, reached another's server"


async def test_daemon_that_hangs_is_waited_for(engine: OwnEngine, run: Run) -> None:
    engine.begin()
    async with run.serving("--DockerSpawner.docker_timeout=3") as service:
        await service.until_ready(2)
        url = await service.take()
        await run.whole(service, url, available=1)
        before = set(run.census.instances())
        engine.signal(signal.SIGSTOP)
        try:
            words = await service.until_trouble("engine")
            assert "\n" not in words
            assert (await service.fetch("/stats")).code == 200
            other = await service.take()
        finally:
            engine.signal(signal.SIGCONT)
        await run.whole(service, url, other, available=0)
        assert set(run.census.instances()) == before
        run.said_once(service, words)


async def test_power_cut_and_reboot_keep_the_visitors(engine: OwnEngine, run: Run) -> None:
    engine.begin()
    service = run.service(JUPYTER, "--pool-size=4", "--min-ready=1", "--stop-servers-on-exit")
    async with run.started(service):
        visitors = await two_who_saved(service)
        urls = [visitor.url for visitor in visitors]
        await run.whole(service, *urls, available=1)
        before = set(run.census.instances())
        await service.stop(signal.SIGKILL)
        engine.power_cut()
        engine.start()
        await start_as_a_supervisor_does(service)
        await all_are_back(visitors)
        await run.whole(service, *urls, available=1)
        assert before & set(run.census.instances()) == {v.id for v in visitors}
        await both_have_their_files(visitors)


async def two_who_saved(service: Service) -> list[Visitor]:
    visitors = []
    for number in range(2):
        await service.until(lambda numbers: numbers["available"], "one is ready")
        visitors.append(await Visitor.arriving(service))
        await visitors[number].save(f"{WORK} {number}")
    return visitors


def strangers_at(engine: OwnEngine) -> list[str]:
    """Return what servers were asked that was meant for another."""
    found = []
    for container in engine.containers():
        own = container["Config"]["Labels"]["tmpnb.server"]
        lines = engine.client.logs(container["Id"]).decode().splitlines()
        found += [line for line in lines if "/user/" in line and own not in line]
    return found


async def all_are_back(visitors: list[Visitor]) -> None:
    for visitor in visitors:
        await wait_until(visitor.is_back, f"{visitor.id} is back")


async def both_have_their_files(visitors: list[Visitor]) -> None:
    for number, visitor in enumerate(visitors):
        assert await visitor.saved() == f"{WORK} {number}", "same URL, same token, same files"


async def start_as_a_supervisor_does(service: Service) -> None:
    """Start the program again whenever it ends, for the engine may come up after it."""
    async with asyncio.timeout(START):
        while True:
            await service.start()
            if await stays(service):
                return
            await asyncio.sleep(PAUSE)


async def stays(service: Service) -> bool:
    """Return whether it lives until its first pass."""
    assert service.process is not None
    while service.process.returncode is None:
        try:
            answer = await service.client.fetch(f"{service.own_url}/health", timeout=5)
        except UnreachableError:
            pass
        else:
            if b'"last_pass": null' not in answer.body:
                return True
        await asyncio.sleep(PAUSE)
    return False
