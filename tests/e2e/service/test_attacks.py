"""One visitor's page against the server of another, with all servers under one host name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from tornado.ioloop import IOLoop

from tests.e2e.browser.embed_world import ALLOWED, BLOCKED, World, Worlds
from tests.e2e.browser.test_notebook import HOME, run_in_last_cell
from tests.e2e.service.attacks import Notebook, arm, open_in, script, told
from tests.support.engines.docker import LABEL, RealEngine

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chp,
    pytest.mark.xdist_group("attacks"),
    pytest.mark.gen_test(timeout=300),
]

# What each attempt says when the browser has nothing of the victim, or is not let at it.
SANDBOXED = {
    "contents": "failed",
    "page": "failed",
    "frame": "unreadable",
    "cookies": "SecurityError",
    "storage": "SecurityError",
    "socket": "refused",
    "kernel": "failed",
    "extend": "failed",
    "stop": "failed",
    "session": "failed",
    "launch": "failed",
}
FOREIGN = {**SANDBOXED, "cookies": "none", "storage": "none", "worker": "SecurityError"}


@pytest.fixture(scope="module")
def worlds(browser_loop: IOLoop) -> Iterator[Worlds]:
    name = f"--pool-name=attacks-{os.getpid()}-{{scheme}}"
    made = Worlds(
        "--spawner=local", f"--notebook-dir={HOME}", name, "--pool-size=9", "--min-ready=2"
    )
    yield made
    browser_loop.run_sync(made.close, timeout=120.0)


async def taken(world: World) -> Notebook:
    await world.service.until(lambda s: s["available"] > 0, "a server that is ready")
    found = await world.take()
    return Notebook(world, found["id"], found["token"])


@asynccontextmanager
async def untouched(world: World, victim: Notebook) -> AsyncIterator[None]:
    """See that meanwhile nothing happens to the victim and nothing is taken for anybody."""
    before, kernels = await world.claims(), await victim.kernels()
    yield
    assert await victim.kernels() == kernels, "a kernel was started"
    assert await world.claims() == before, "a server was taken"


@pytest.mark.local
async def test_a_page_of_another_site_gets_nothing_of_an_open_notebook(worlds: Worlds) -> None:
    world = await worlds.get(https=True, cookies=ALLOWED)
    victim = await taken(world)
    kernel = await victim.start_kernel()
    await open_in(world.context, victim)
    async with untouched(world, victim):
        page = await world.read(f"<script>{script(victim, kernel)}</script>", origin=world.stranger)
        got = await told(page)
    assert got == FOREIGN
    assert [c for c in world.seen.complaints if "frame-ancestors" in c]


async def files_against_neighbour(world: World) -> None:
    """Let an HTML file of one server try another, both of which are open in one browser."""
    victim, attacker = await taken(world), await taken(world)
    await arm(attacker, script(victim, await victim.start_kernel()))
    await open_in(world.context, victim)
    async with untouched(world, victim):
        page = await world.context.new_page()
        await page.goto(attacker.url("files/attack.html"))
        got = await told(page)
    worker = got.pop("worker")
    assert worker in ("SecurityError", "failed", "none"), worker
    assert got == SANDBOXED


@pytest.mark.local
async def test_a_file_of_one_notebook_gets_nothing_of_another_in_the_same_browser(
    worlds: Worlds,
) -> None:
    await files_against_neighbour(await worlds.get(https=True, cookies=BLOCKED))


@pytest.mark.docker
async def test_a_file_in_a_container_gets_nothing_of_another_in_the_same_browser(
    engine: RealEngine,
) -> None:
    names = (f"--pool-name=attacks-{engine.run}", f"--DockerSpawner.labels={LABEL}={engine.run}")
    flags = ("--spawner=docker", "--image=tmpnb-test/notebook", "--pool-size=3", "--min-ready=2")
    worlds = Worlds(*flags, *names, f"--runtime={engine.runtime}")
    try:
        await files_against_neighbour(await worlds.get(https=True, cookies=BLOCKED))
    finally:
        await worlds.close()


async def cell_tries(world: World, attacker: Notebook) -> dict[str, str]:
    """Run a cell of the attacker's notebook, whose output is the script."""
    page = await world.context.new_page()
    await page.goto(attacker.url("lab/tree/x.ipynb"))
    await run_in_last_cell(page, page, "import attack; attack.on(1)")
    return await told(page)


@pytest.mark.local
async def test_a_cell_gets_nothing_of_a_notebook_that_is_open_in_another_browser(
    worlds: Worlds,
) -> None:
    theirs = await worlds.get(https=True, cookies=ALLOWED)
    victim = await taken(theirs)
    kernel = await victim.start_kernel()
    await open_in(theirs.context, victim)
    world = await worlds.get(https=True, cookies=BLOCKED)
    attacker = await taken(world)
    await arm(attacker, script(victim, kernel, worker=f"{attacker.base}files/sw.js"))
    got = await cell_tries(world, attacker)
    assert len(await victim.kernels()) == 1
    launch = got.pop("launch")
    assert launch != "victim", "another browser has another server"
    assert got == {
        "contents": "403",
        "page": "none",
        "frame": "none",
        "cookies": "none",
        "storage": "none",
        "socket": "refused",
        "kernel": "403",
        "worker": "SecurityError",
        "extend": "401",
        "stop": "401",
        "session": "403",
    }


@pytest.mark.local
async def test_a_cell_has_what_is_open_in_the_same_browser_under_one_host_name(
    worlds: Worlds,
) -> None:
    """Not a promise: what remains with one origin for all, as docs/security.md says."""
    world = await worlds.get(https=True, cookies=BLOCKED)
    visitor = await world.context.new_page()
    await visitor.goto(f"{world.site}/lab")
    await visitor.wait_for_url("**/user/*/lab*", timeout=60_000)
    victim_id = visitor.url.partition("/user/")[2].partition("/")[0]
    victim = Notebook(world, victim_id, "")
    attacker = await taken(world)
    await arm(attacker, script(victim, "", worker=f"{attacker.base}files/sw.js"))
    got = await cell_tries(world, attacker)
    assert {n: got[n] for n in ("contents", "page", "frame", "kernel", "launch")} == {
        "contents": "read",
        "page": "token",
        "frame": "token",
        "kernel": "read",
        "launch": "victim",
    }
    assert got["worker"] == "SecurityError", "no worker stands before all of them"
    assert (got["extend"], got["stop"], got["session"]) == ("401", "401", "403")
