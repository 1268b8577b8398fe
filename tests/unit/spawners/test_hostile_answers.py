"""Whatever one visitor's server answers, the loop serves all the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.support.world import World, wait_until
from tmpnb.core.observation import Instance
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import PoolEmptyError
from tmpnb.orchestrator import loop, observer
from tmpnb.orchestrator.claims import claims, handover
from tmpnb.spawners.fake import FakeSpawner

pytestmark = pytest.mark.gen_test(timeout=30)

OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "200 kB of headers": OK + b"X-Pad: " + b"x" * 200_000 + b"\r\n\r\n",
    "16 MB": OK + b"Content-Length: 16777216\r\n\r\n" + b" " * 16_777_216,
    "a path that is no text": OK + b'Content-Length: 3\r\n\r\n"\xff"',
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    "tiny chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 100_000,
    "a million lists": OK + b"Content-Length: 999600\r\n\r\n" + b"[" * 999_600,
    "null": OK + b"Content-Length: 4\r\n\r\nnull",
    "not now": b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
    "a page of 20 MB": OK + b"Content-Length: 20000000\r\n\r\n" + b" " * 20_000_000,
    "no answer": b"",
}


@asynccontextmanager
async def taken_over(server: NotebookServer, words: bytes) -> AsyncIterator[list[bytes]]:
    """Have a server answer everything with `words`, or hang if there are none."""
    async with answering(words) as (address, asked):
        server.address = address
        yield asked


@asynccontextmanager
async def answering(words: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    asked: list[bytes] = []
    hanging = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        try:
            writer.write(words)
            await (writer.drain() if words else hanging.wait())
        except OSError:
            pass
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", asked
    finally:
        hanging.set()
        listening.close()


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE.keys())
async def test_others_are_culled_and_the_pool_is_filled_beside_it(words: bytes) -> None:
    async with World(3, min_ready=1, max_idle=100, interval=60).running() as world:
        await world.until_ready(1)
        bad = await world.orchestrator.claims.claim()
        await world.until_ready(1)
        idle = await world.orchestrator.claims.claim()
        world.clock.advance(101)
        instance = world.engine.servers["test", bad.id]
        async with taken_over(bad, words) as asked:
            instance.address = str(bad.address)
            world.orchestrator.cull()
            await world.until_gone(idle.id)
            assert idle.reason is StopReason.IDLE
            assert asked
            await world.until_ready(1)
            assert "pass" not in world.orchestrator.health.problems
            world.clock.advance(1000)
            world.orchestrator.wake()
            await world.until_gone(bad.id)
            assert bad.reason is StopReason.TOO_OLD, "that needs nobody's word"


async def test_no_pass_waits_for_a_server_that_hangs() -> None:
    async with World(1, max_idle=100, interval=0.05).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        world.clock.advance(101)
        async with taken_over(server, b"") as asked:
            world.engine.servers["test", server.id].address = str(server.address)
            world.orchestrator.cull()
            await wait_until(lambda: asked)
            await world.passes(3)
            assert world.orchestrator.parts.culling.asking, "it hangs still"
            world.orchestrator.cull()
            await world.passes(1)
            assert len(asked) == 1, "one question at a time"
            assert server.phase is Phase.CLAIMED


@pytest.mark.parametrize("for_long", [False, True])
async def test_a_server_that_hangs_shows_until_it_answers_again(*, for_long: bool) -> None:
    async with World(1, max_idle=1e6, max_age=1e9).running() as world:
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        problems, address = world.orchestrator.health.problems, server.address
        world.clock.advance(2e6 if for_long else 1.0)
        world.engine.servers["test", server.id].last_activity = world.clock()
        server.address = "http://127.0.0.1:1"
        await world.cull()
        assert not problems, "once may be chance"
        await world.cull()
        assert problems["silent"].message.startswith("1 of the servers that visitors have")
        assert server.id not in problems["silent"].message
        server.address = address
        await world.cull()
        assert not problems


async def test_the_end_does_not_wait_for_a_server_that_hangs() -> None:
    world = World(1, max_idle=100)
    async with world.running(stop_claimed=False):
        await world.until_ready(1)
        server = await world.orchestrator.claims.claim()
        world.clock.advance(101)
        async with taken_over(server, b"") as asked:
            world.engine.servers["test", server.id].address = str(server.address)
            world.orchestrator.cull()
            await wait_until(lambda: asked)
            world.orchestrator.shutdown(stop_claimed=False)
            await wait_until(lambda: not world.orchestrator.parts.culling.asking)


class Stalled(FakeSpawner):
    """An engine that does not answer once it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.stalls = False

    async def list(self) -> list[Instance]:
        if self.stalls:
            await asyncio.Event().wait()
        return await super().list()


async def test_the_end_does_not_wait_for_an_engine_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observer, "READ_TIMEOUT", 3600.0)
    spawner = Stalled()
    world = World(1, spawner=spawner)
    await spawner.setup()
    run = asyncio.create_task(world.orchestrator.run())
    await world.until_ready(1)
    spawner.stalls = True
    last = world.orchestrator.health.last_pass
    world.orchestrator.wake()
    await asyncio.sleep(0)
    assert world.orchestrator.health.last_pass == last
    world.orchestrator.shutdown(stop_claimed=True)
    await asyncio.wait_for(run, 10)
    await spawner.close()


async def test_a_pass_that_dies_shows_and_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise KeyError("nobody foresaw this")

    async with World(1).running() as world:
        await world.until_ready(1)
        health = world.orchestrator.health
        with monkeypatch.context() as broken:
            broken.setattr(loop, "plan", fails)
            await wait_until(lambda: "pass" in health.problems)
            assert "nobody foresaw this" in health.problems["pass"].message
            since = caplog.text.count("Traceback")
            world.orchestrator.wake()
            await asyncio.sleep(0)
        await wait_until(lambda: "pass" not in health.problems)
        assert since == caplog.text.count("Traceback") == 1, "told once"
        server = await world.orchestrator.claims.claim()
        assert server.phase is Phase.CLAIMED


async def test_a_server_is_given_whatever_the_size_of_its_ready_page() -> None:
    """It is another application, with a page for people there."""
    page = OK + b"Content-Length: 20000000\r\n\r\n" + b" " * 20_000_000
    async with World(1, interval=60).running() as world:
        await world.until_ready(1)
        server = world.servers(Phase.READY)[0]
        async with taken_over(server, page) as asked:
            world.engine.servers["test", server.id].address = str(server.address)
            assert await world.orchestrator.claims.claim() is server
            assert asked


@pytest.mark.parametrize("in_line", [False, True], ids=["at once", "in line"])
async def test_a_claim_has_a_deadline_and_ends_a_few_that_hang_at_most(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, in_line: bool
) -> None:
    monkeypatch.setattr(handover, "QUESTION_TIMEOUT", 0.2)
    monkeypatch.setattr(claims, "QUESTION_TIMEOUT", 0.2)
    monkeypatch.setattr(claims, "CLAIM_TIMEOUT", 0.5)
    async with World(8, interval=60).running() as world, AsyncExitStack() as hanging:
        await world.until_ready(8)
        await world.passes(2)
        addresses = [(await hanging.enter_async_context(answering(b"")))[0] for _ in range(8)]
        for server, address in zip(world.servers(Phase.READY), addresses, strict=True):
            world.engine.servers["test", server.id].address = server.address = address
        ours = world.orchestrator.claims
        with pytest.raises(PoolEmptyError):
            await (ours.claim_in_turn(ours.queue()) if in_line else ours.claim())
        assert 1 <= caplog.text.count("was ready and is dead") <= 2
        assert ours.waiting == in_line, "a place in line is kept"
