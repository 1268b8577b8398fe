"""Containers are killed, stopped, removed and paused behind our back, or run out of memory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from tests.e2e.faults.kernel import Kernel
from tests.e2e.faults.run import Run
from tests.e2e.faults.visitor import JUPYTER, Newcomer, Visitor
from tests.e2e.running_service import PERSON, Service
from tests.support.engines.contract import wait_until
from tests.support.engines.docker import RealEngine
from tmpnb.errors import UnreachableError

pytestmark = [
    pytest.mark.faults,
    pytest.mark.docker,
    pytest.mark.chp,
    pytest.mark.gen_test(timeout=240),
]

WORK = "the work of an hour"
TOO_MUCH = "x" * 150_000_000  # bytes, for a server that has LITTLE
LITTLE = "--mem-limit=200m"


def container(run: Run, server_id: str) -> dict[str, Any]:
    """Return the container of a server, described in full."""
    found = containers(run, server_id)
    assert found, f"there is no container of {server_id}"
    return found[0]


def containers(run: Run, server_id: str) -> list[dict[str, Any]]:
    """Return the container of a server; none while it is being made, or comes back."""
    assert run.engine is not None
    found = run.engine.containers()
    return [c for c in found if c["Config"]["Labels"]["tmpnb.server"] == server_id]


def runs(run: Run, server_id: str) -> bool:
    return any(c["State"]["Pid"] for c in containers(run, server_id))


def crash(engine: RealEngine, of: dict[str, Any]) -> None:
    """End its first process, as no engine does."""
    del engine
    os.kill(of["State"]["Pid"], signal.SIGKILL)


def kill(engine: RealEngine, of: dict[str, Any]) -> None:
    engine.client.kill(of["Id"])


def stop(engine: RealEngine, of: dict[str, Any]) -> None:
    engine.client.stop(of["Id"], timeout=0)


def remove(engine: RealEngine, of: dict[str, Any]) -> None:
    engine.client.remove_container(of["Id"], v=True, force=True)


def pause(engine: RealEngine, of: dict[str, Any]) -> None:
    engine.client.pause(of["Id"])


Harm = Callable[[RealEngine, dict[str, Any]], None]


async def looks(service: Service, count: int) -> None:
    """Return when the service has looked at everything `count` times more."""

    async def last() -> object:
        url = f"{service.own_url}/health"
        return json.loads((await service.client.fetch(url, timeout=5)).body)["last_pass"]

    for _ in range(count):
        before = await last()

        async def again(before: object = before) -> bool:
            return await last() != before

        await wait_until(again, "the service looks again")


async def test_ready_servers_that_were_harmed_are_replaced_and_never_handed_out(run: Run) -> None:
    assert run.engine is not None
    harms = (crash, kill, stop, remove, pause)
    async with run.serving(f"--pool-size={len(harms) + 1}") as service:
        await service.until_ready(len(harms) + 1)
        harmed = run.engine.containers()[: len(harms)]
        for harm, one in zip(harms, harmed, strict=True):
            harm(run.engine, one)
        urls = [await Newcomer(service).served() for _ in range(2)]
        dead = {one["Config"]["Labels"]["tmpnb.server"] for one in harmed}
        assert not dead & {url.split("/")[4] for url in urls}
        assert all([await run.opens(service, url) for url in urls])
        await run.whole(service, *urls, available=len(harms) - 1)
        assert not dead & set(run.census.instances())


@pytest.mark.parametrize("harm", [crash, remove])
async def test_server_that_is_ended_while_it_starts_is_started_anew(run: Run, harm: Harm) -> None:
    assert run.engine is not None
    async with run.serving(JUPYTER, "--pool-size=1") as service:
        await service.until(lambda _: run.census.instances(), "one is made")
        [server_id] = run.census.instances()
        await service.until(lambda _: runs(run, server_id), "it runs")
        harm(run.engine, container(run, server_id))
        words = await service.until_trouble("start")
        await run.whole(service, available=1)
        assert server_id not in run.census.instances()
        run.said_once(service, words)


@pytest.mark.long
async def test_claimed_servers_that_cannot_come_back_end_with_an_honest_page(run: Run) -> None:
    assert run.engine is not None
    async with run.serving("--pool-size=4", "--min-ready=1") as service:
        await service.until_ready(1)
        urls = [await Newcomer(service).served() for _ in range(4)]
        *harmed, unharmed = urls
        for harm, url in zip((kill, stop, remove), harmed, strict=True):
            harm(run.engine, container(run, url.split("/")[4]))
        for url in harmed:
            path = url.partition("?")[0].removeprefix(service.url)
            assert (await service.fetch(path, headers=PERSON)).code in (404, 503)
        await service.until(lambda numbers: numbers["claimed"] == 1, "the dead ones are ended")
        for url in harmed:
            path = url.partition("?")[0].removeprefix(service.url)
            page = await service.fetch(path, headers=PERSON)
            assert page.code == 404
            assert b"ended" in page.body
            file = f"/user/{url.split('/')[4]}/api/contents/x.ipynb"
            save = await service.fetch(file, method="PUT", body="{}")
            assert (save.code, json.loads(save.body)["error"]["code"]) == (410, "server_ended")
        await run.whole(service, unharmed, available=1)


async def test_paused_claimed_server_is_kept_and_works_again(run: Run) -> None:
    assert run.engine is not None
    async with run.serving(JUPYTER, "--pool-size=2", "--min-ready=1") as service:
        await service.until(lambda numbers: numbers["available"], "one is ready")
        visitor = await Visitor.arriving(service)
        kernel = await Kernel.started(visitor)
        assert await kernel.says("x = 1; print(x)") == "1"
        await run.whole(service, visitor.url, available=1)
        before = set(run.census.instances())
        pause(run.engine, container(run, visitor.id))
        await looks(service, 3)
        assert set(run.census.instances()) == before
        run.engine.client.unpause(container(run, visitor.id)["Id"])
        await run.whole(service, visitor.url, available=1)
        assert set(run.census.instances()) == before
        assert await kernel.says("print(x)") == "1", "even the kernel is the same"
        kernel.close()


@pytest.mark.parametrize("cause", ["crash", "memory"])
async def test_claimed_server_that_dies_comes_back_with_its_files(run: Run, cause: str) -> None:
    assert run.engine is not None
    async with run.serving(JUPYTER, LITTLE, "--pool-size=2", "--min-ready=1") as service:
        await service.until(lambda numbers: numbers["available"], "one is ready")
        visitor = await Visitor.arriving(service)
        await visitor.save(WORK)
        await run.whole(service, visitor.url, available=1)
        async with visitor.looking():
            if cause == "crash":
                crash(run.engine, container(run, visitor.id))
            else:
                with suppress(UnreachableError, AssertionError):  # it dies before it answers
                    await visitor.save(TOO_MUCH)
            await until_restarted(run, visitor)
            await wait_until(visitor.is_back, f"{visitor.id} is back")
        assert visitor.codes <= {200, 503}, "at worst a page that waits"
        assert await visitor.saved() == WORK, "same URL, same token, same files"
        await run.whole(service, visitor.url, available=1)


async def test_server_that_its_visitor_shuts_down_ends_for_good(run: Run) -> None:
    async with run.serving(JUPYTER, "--pool-size=2", "--min-ready=2") as service:
        await service.until_ready(2)
        visitor, other = await Visitor.arriving(service), await Visitor.arriving(service)
        await visitor.save(WORK)
        await other.save(WORK)
        crash(run.engine, container(run, other.id))  # type: ignore[arg-type]  # there is one
        assert (await visitor.ask("api/shutdown", method="POST", body="")).code == 200
        await service.until(lambda s: s["claimed"] == 1, "it has ended")
        await service.until(lambda _: visitor.id not in run.census.instances(), "it is gone")
        page = await visitor.look()
        assert page.code == 404
        assert b"ended by itself" in page.body
        await wait_until(other.is_back, "the one that crashed came back")
        assert await other.saved() == WORK


async def until_restarted(run: Run, visitor: Visitor) -> None:
    async def restarted() -> bool:
        return any(c["RestartCount"] for c in containers(run, visitor.id))

    await wait_until(restarted, "the engine has started it again")


async def test_kernel_that_takes_all_memory_ends_alone(run: Run) -> None:
    assert run.engine is not None
    async with run.serving(JUPYTER, LITTLE, "--pool-size=1") as service:
        await service.until_ready(1)
        visitor = await Visitor.arriving(service)
        await visitor.save(WORK)
        kernel = await Kernel.started(visitor)
        assert await kernel.says("x = 1; print(x)") == "1"
        begun = int(time.time())
        eats = asyncio.create_task(kernel.says("x = b'x' * 10**9; print(len(x))"))
        await service.until(lambda _: out_of_memory(run, visitor, begun), "it is out of memory")
        eats.cancel()
        await asyncio.wait({eats})
        await wait_until(partial(begins_anew, kernel), "Jupyter has started it again")
        assert not container(run, visitor.id)["RestartCount"], "the server was not touched"
        assert await visitor.saved() == WORK
        await run.whole(service, visitor.url, available=0)


async def begins_anew(kernel: Kernel) -> bool:
    """Whether the kernel answers, and knows nothing of what it was told before.

    Not by the state that Jupyter tells: that may stay `busy` from the one that died.
    """
    try:
        await kernel.again()
        return await kernel.says("print('x' in globals())", within=10) == "False"
    except (TimeoutError, HTTPClientError):  # killed before it answered, or is starting
        return False
    finally:
        kernel.close()


def out_of_memory(run: Run, visitor: Visitor, since: int) -> bool:
    """Whether the engine saw the server's container at its limit."""
    assert run.engine is not None
    filters = {"event": "oom", "container": container(run, visitor.id)["Id"]}
    return bool(list(run.engine.client.events(since, int(time.time()) + 1, filters=filters)))
