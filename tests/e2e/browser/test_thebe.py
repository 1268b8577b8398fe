"""The npm package thebe, unmodified, in an article: it runs a cell on a server it was given."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.async_api import expect
from tornado.ioloop import IOLoop

from tests.e2e.browser.embed_world import BLOCKED, Worlds, heard, shared
from tests.support.requirements import thebe

WAIT = 60_000  # milliseconds until a page shows what it should
ARTICLE = """
    <link rel="stylesheet" href="/static/thebe.css">
    <pre data-executable="true" data-language="python">6 * 7</pre>
    <script src="/static/index.js"></script>
    <script>
        window.launch = async (site) => {
            const answer = await fetch(`${site}/api/spawn`, { method: 'POST' });
            const { base_url: baseUrl, token } = await answer.json();
            await thebe.bootstrap({
                useBinder: false,
                requestKernel: true,
                serverSettings: { baseUrl, token, appendToken: true },
                kernelOptions: { kernelName: 'python3', path: '.' },
            });
            return { baseUrl, token };
        };
    </script>
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chp,
    pytest.mark.local,
    pytest.mark.xdist_group("thebe"),
    pytest.mark.gen_test(timeout=240),
]


@pytest.fixture(scope="module")
def worlds(browser_loop: IOLoop) -> Iterator[Worlds]:
    pool = ("--spawner=local", f"--pool-name=thebe-{os.getpid()}-{{scheme}}", "--pool-size=2")
    yield from shared(browser_loop, *pool, "--allow-origin={article}", static=thebe())


@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
async def test_thebe_runs_a_cell_on_a_server_taken_by_the_api(worlds: Worlds, https: bool) -> None:
    world = await worlds.get(https=https, cookies=BLOCKED)
    page = await world.read(ARTICLE)
    async with page.expect_websocket(lambda s: "/channels" in s.url, timeout=WAIT) as channel:
        taken = await page.evaluate("site => launch(site)", world.site)
    assert taken["baseUrl"].startswith(f"{world.site}/user/")
    assert f"token={taken['token']}" in (await channel.value).url
    assert await world.claims() == 1
    await page.locator(".thebe-run-button").click(timeout=WAIT)
    await expect(page.locator(".jp-OutputArea-output")).to_have_text("42", timeout=WAIT)
    assert world.seen.foreign(world.site, world.article) == []


async def test_a_notebook_answers_scripts_of_the_named_site_alone(worlds: Worlds) -> None:
    """With the token, that is; without it nobody's."""
    world = await worlds.get(cookies=BLOCKED)
    taken = await world.take()
    assert await heard(await world.read(""), taken) == 200
    assert await heard(await world.read("", origin=world.stranger), taken) == "TypeError"
