"""Nothing outside can hold up the loop: `/stats` answers while engine, proxy and servers hang.

The one place where a test looks at the time: an answer within 100 ms is the promise.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from tests.support.fake_proxy import FakeProxy
from tests.support.world import FakeClock, World, site_of, wait_until
from tmpnb.proxy.chp import ConfigurableHTTPProxy
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.spawners.fake import FakeSpawner
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.web.routes import public_application

pytestmark = pytest.mark.gen_test(timeout=30)

PROMISE = 0.1  # seconds
LOOKS, ROUNDS = 20, 4


@contextmanager
def black_hole() -> Iterator[int]:
    """Give a loopback port where connecting hangs: its queue is full and nobody accepts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        try:
            yield address[1]
        finally:
            for filler in fillers:
                filler.close()


@asynccontextmanager
async def silence() -> AsyncIterator[int]:
    """Give a loopback port that accepts and never answers."""
    accepted: list[asyncio.StreamWriter] = []

    async def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in accepted:
            writer.close()
        server.close()


@asynccontextmanager
async def public_port(world: World) -> AsyncIterator[str]:
    orchestrator = world.orchestrator
    site = site_of(orchestrator, version="1")
    sock, port = bind_unused_port()
    server = HTTPServer(public_application(site))
    server.add_socket(sock)
    try:
        yield f"http://127.0.0.1:{port}/stats"
    finally:
        server.stop()
        await server.close_all_connections()


async def slowest_answer(url: str) -> float:
    """Ask for the numbers again and again; return the longest it took, in seconds.

    The best of a few rounds: a busy machine is late once, a blocked loop each time.
    """
    client, rounds = Client(MAX_ANSWER), []
    for _ in range(ROUNDS):
        longest = 0.0
        for _ in range(LOOKS):
            begun = time.monotonic()
            assert (await client.fetch(url, timeout=5)).code == 200
            longest = max(longest, time.monotonic() - begun)
            await asyncio.sleep(0.01)
        rounds.append(longest)
    client.close()
    return min(rounds)


async def test_stats_answer_while_servers_are_black_holes() -> None:
    with black_hole() as port:

        class Swallowed(FakeSpawner):
            async def start(self, spec: ServerSpec) -> str:
                await super().start(spec)
                return f"http://127.0.0.1:{port}"

        world = World(5, spawner=Swallowed(), start_timeout=20)
        async with world.running(), public_port(world) as url:
            await wait_until(lambda: any(s.address for s in world.pool.servers.values()))
            assert await slowest_answer(url) < PROMISE


async def test_stats_answer_while_the_engines_socket_is_stalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with silence() as port:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
        spawner = DockerSpawner(image="absent", docker_version="1.41")
        world = World(2)
        setting_up = asyncio.create_task(spawner.setup())
        async with world.running(), public_port(world) as url:
            assert await slowest_answer(url) < PROMISE
            assert not setting_up.done(), "it is still asking"
        setting_up.cancel()
        await asyncio.wait({setting_up})
        await spawner.close()


async def test_stats_answer_while_the_proxys_api_is_silent() -> None:
    async with silence() as port:
        world = World(2)
        endpoint = f"http://127.0.0.1:{port}"
        proxy = ConfigurableHTTPProxy(Client(MAX_ANSWER), endpoint, "token", "test", timeout=0.5)
        world = World(2, proxy=as_fake(proxy), clock=FakeClock())
        async with world.running(), public_port(world) as url:
            assert await slowest_answer(url) < PROMISE
            await wait_until(lambda: "proxy" in world.orchestrator.health.problems)
        await proxy.close()


def as_fake(proxy: ConfigurableHTTPProxy) -> FakeProxy:
    """Let the harness take the real client, which has the same methods."""
    return proxy  # type: ignore[return-value]  # both fulfil `Proxy`
