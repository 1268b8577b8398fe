"""Real notebooks in an article on another site: http and https, third-party cookies or none."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Frame, Page, WebSocket, expect
from tornado.ioloop import IOLoop

from tests.e2e.browser.embed_world import ALLOWED, BLOCKED, World, Worlds, frame_of, heard, shared
from tests.e2e.browser.test_notebook import HOME, run_in_last_cell
from tests.e2e.running_service import PERSON
from tests.support.engines.docker import LABEL, RealEngine
from tests.support.requirements import ROOT

WAIT = 60_000  # milliseconds until a page shows what it should
LINKS = {"lab": "lab/tree/x.ipynb", "notebook": "notebooks/x.ipynb"}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
KEEP_SOCKETS = """
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
        constructor(...all) { super(...all); sockets.push(this); }
    };
"""
SCREENSHOT = ROOT / "docs" / "images" / "embedding.png"
FIGURE = """
from math import cos, radians, sin
from IPython.display import SVG

angle, seeds = 137.508, ""  # try 137, or 90
for n in range(1, 800):
    x = n**0.5 * cos(radians(n * angle))
    y = n**0.5 * sin(radians(n * angle))
    hue, r = 45 - n / 25, 0.3 + n / 2200
    dot = f'cx="{x}" cy="{y}" r="{r}" fill="hsl({hue} 90% 50%)"'
    seeds += f"<circle {dot}/>"
shape = 'xmlns="http://www.w3.org/2000/svg" viewBox="-30 -30 60 60"'
SVG(f'<svg {shape} width="225" height="225">{seeds}</svg>')
""".strip()
FIGURE_ARTICLE = """
<title>Seeds</title>
<style>
  h1, h1 + p { display: none }
  body { max-width: 38rem; margin: 1.2rem auto }
  h2 { margin: 0 }
  button { font: inherit; padding: .4em 1em }
</style>
<h2>How a sunflower packs its seeds</h2>
<p>Each seed is turned by 137.5 degrees from the one before, so none lies behind another.
Run the figure, and try another angle:</p>
PASTED
<p>The angle is the golden one: a full turn, divided so that the smaller part is to the larger as
the larger is to the whole. No fraction with a small denominator comes close to it.</p>
<p>With 90 degrees the seeds stand in four rows, and most of the disc is empty. With 137 they lie
in 21 curved arms. Half a degree makes the difference.</p>
<p>Pine cones, pineapples and daisies follow the same rule.</p>
"""
SIDE_BY_SIDE = """
<style>
  body { margin: 0; display: flex; align-items: center; gap: 14px; background: white;
    font: 40px/1 sans-serif; color: #888; width: max-content }
  img { border: 1px solid #bbb; display: block }
</style>
<img alt="before" src="data:image/png;base64,BEFORE">&#10140;
<img alt="after" src="data:image/png;base64,AFTER">
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chp,
    pytest.mark.xdist_group("embed_matrix"),
    pytest.mark.gen_test(timeout=240),
]


@pytest.fixture(scope="module")
def worlds(browser_loop: IOLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    home = tmp_path_factory.mktemp("notebooks") / "home"
    shutil.copytree(HOME, home)
    (home / "pixel.png").write_bytes(PIXEL)
    (home / "seeds.ipynb").write_text(notebook_of(FIGURE))
    pool = (f"--pool-name=embed-{os.getpid()}-{{scheme}}", "--pool-size=6", "--min-ready=1")
    yield from shared(browser_loop, "--spawner=local", f"--notebook-dir={home}", *pool)


def notebook_of(code: str) -> str:
    cell: dict[str, Any] = {"cell_type": "code", "id": "figure", "source": code, "metadata": {}}
    cell |= {"outputs": [], "execution_count": None}
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    metadata = {"kernelspec": kernel}
    return json.dumps({"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


class Reader:
    """Somebody who works with the notebook in the article."""

    def __init__(self, world: World, page: Page) -> None:
        self.world, self.page = world, page
        self.frame = page.frame_locator("iframe")
        self.channels = 0  # websockets to a kernel, opened so far
        self.loads = 0  # of pages of a notebook server
        page.on("websocket", self._count_channel)
        page.on("framenavigated", self._count_load)

    def _count_channel(self, socket: WebSocket) -> None:
        self.channels += "/channels" in socket.url

    def _count_load(self, frame: Frame) -> None:
        self.loads += "/user/" in frame.url

    async def run(self, code: str, output: str) -> None:
        """Run a cell of the notebook that has just been opened; return when its output is there."""
        await run_in_last_cell(self.frame, self.page, code)
        await self.sees(output)

    async def run_again(self, code: str, output: str) -> None:
        """Run the last cell, connected or not; return when its output is there."""
        await self.frame.locator(".jp-CodeCell .cm-content").last.click()
        await self.page.keyboard.press("Control+a")
        await self.page.keyboard.type(code)
        await self.page.keyboard.press("Shift+Enter")
        await self.sees(output)

    async def sees(self, output: str) -> None:
        shown = self.frame.locator(".jp-OutputArea-output").last
        await expect(shown).to_have_text(output, timeout=WAIT)

    async def saves(self, output: str) -> None:
        """Save; return when the output is in the file and the page knows it.

        A page saves, reads the answer and asks for a checkpoint. Without that answer it takes its
        own file for one that somebody else has changed.
        """
        async with self.page.expect_response(re.compile(r"/checkpoints\b"), timeout=WAIT):
            await self.page.keyboard.press("Control+s")
        await self._inside(
            """async ({ base, headers, output }) => {
                for (let tries = 0; tries < 300; tries += 1) {
                    const file = `${base}/api/contents/x.ipynb`;
                    const answer = await fetch(file, { headers, cache: 'no-store' });
                    const { content } = await answer.json(); // none while it is written
                    if (JSON.stringify(content?.cells ?? '').includes(output)) return;
                    await new Promise((done) => setTimeout(done, 100));
                }
                throw new Error('not saved');
            }""",
            output=output,
        )

    async def sees_pictures(self) -> bool:
        """Whether a picture loads that lies beside the notebook, as in its text."""
        return bool(
            await self._inside(
                """({ base }) => new Promise((resolve) => {
                    const picture = new Image();
                    picture.onload = () => resolve(true);
                    picture.onerror = () => resolve(false);
                    picture.src = `${base}/files/pixel.png`;
                })"""
            )
        )

    async def server(self) -> str:
        return frame_of(self.page).url.partition("/user/")[2].partition("/")[0]

    async def _inside(self, script: str, **arguments: str) -> Any:
        [url] = await self.page.evaluate("Object.values(sessionStorage)")
        token = url.rpartition("token=")[2]
        headers = {"Authorization": f"token {token}"}
        base = f"/user/{await self.server()}"
        return await frame_of(self.page).evaluate(
            script, {"base": base, "headers": headers, **arguments}
        )


async def work(world: World, link: str, *, cut: Callable[[Reader], Awaitable[None]]) -> Reader:
    """Do all that a reader does: press, run, save, lose the connection, reload the article."""
    page = await world.read(
        world.embedding(link, title="The calculation").button(), before=KEEP_SOCKETS
    )
    reader = Reader(world, page)
    assert await world.claims() == 0
    await page.get_by_role("button", name="Launch").click()
    await reader.run("6*7", "42")
    await expect(page.locator("[data-tmpnb-state=loaded]")).to_have_count(1)
    sign = reader.frame.get_by_role("link", name="Temporary · ")
    await expect(sign).to_be_visible(timeout=WAIT)
    await reader.saves("42")
    server, channels = await reader.server(), reader.channels
    await cut(reader)
    await reader.run_again("6*8", "48")
    assert reader.channels > channels
    await reader.saves("48")
    await page.reload()
    await reader.sees("48")
    assert await reader.server() == server
    assert await world.claims() == 1
    assert reader.loads <= 6, "no page reloads itself"
    return reader


async def by_closing(reader: Reader) -> None:
    """Close every websocket, as a network does that drops what it carried.

    Returns when the page knows, since what it sends between would be lost with the connection.
    """
    await frame_of(reader.page).evaluate(
        """() => Promise.all(sockets.map((socket) => new Promise((done) => {
            if (socket.readyState === WebSocket.CLOSED) return done();
            socket.addEventListener('close', done);
            socket.close();
        })))"""
    )


async def by_losing_the_proxy(reader: Reader) -> None:
    """Kill the proxy; the service starts another, which knows no route at first."""
    os.kill(reader.world.service.proxy_child().pid, signal.SIGKILL)


# On http no cookie works in a frame, allowed or not, so each program is seen once with either.
CASES = [
    pytest.param(True, ALLOWED, "lab", id="https-allow-lab"),
    pytest.param(True, ALLOWED, "notebook", id="https-allow-notebook"),
    pytest.param(True, BLOCKED, "lab", id="https-block-lab"),
    pytest.param(True, BLOCKED, "notebook", id="https-block-notebook"),
    pytest.param(False, ALLOWED, "lab", id="http-allow-lab"),
    pytest.param(False, BLOCKED, "notebook", id="http-block-notebook"),
]


@pytest.mark.local
@pytest.mark.parametrize(("https", "cookies", "app"), CASES)
async def test_notebook_works_in_an_article(
    worlds: Worlds, https: bool, cookies: dict[str, Any], app: str
) -> None:
    world = await worlds.get(https=https, cookies=cookies)
    reader = await work(world, LINKS[app], cut=by_closing)
    # On http no cookie works in a frame, and a picture cannot show the token.
    assert await reader.sees_pictures() is https
    if https and app == "notebook" and os.environ.get("TMPNB_SCREENSHOTS") == "1":
        idle = ".jp-Notebook-ExecutionIndicator[data-status='idle']"
        await expect(reader.frame.locator(idle)).to_be_attached(timeout=WAIT)
        await reader.page.set_viewport_size({"width": 1100, "height": 840})
        await reader.page.screenshot(path=SCREENSHOT)


@pytest.mark.local
async def test_a_button_in_an_article_becomes_a_running_figure(
    worlds: Worlds, tmp_path: Path
) -> None:
    """With TMPNB_SCREENSHOTS=1 the picture of the README goes to docs/."""
    world = await worlds.get(https=True, cookies=BLOCKED)
    pasted = world.embedding("notebooks/seeds.ipynb", title="Figure 1")
    page = await world.read(FIGURE_ARTICLE.replace("PASTED", pasted.button()))
    await page.set_viewport_size({"width": 640, "height": 780})
    button = page.get_by_role("button", name="Launch")
    await expect(button).to_be_visible()
    assert await world.claims() == 0, "a page view takes no server"
    before = await page.screenshot()
    await button.click()
    frame = page.frame_locator("iframe")
    idle = frame.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first
    await expect(idle).to_be_attached(timeout=WAIT)
    await frame.locator(".jp-CodeCell .cm-content").first.click()
    await page.keyboard.press("Control+Enter")
    await expect(frame.locator(".jp-OutputArea-output img")).to_be_visible(timeout=WAIT)
    await expect(idle).to_be_attached(timeout=WAIT)
    shots = {"BEFORE": before, "AFTER": await page.screenshot()}
    html = SIDE_BY_SIDE
    for name, shot in shots.items():
        html = html.replace(name, base64.b64encode(shot).decode())
    await page.goto("about:blank")
    await page.set_viewport_size({"width": 1400, "height": 800})
    await page.set_content(html)
    folder = ROOT / "docs" / "images" if os.environ.get("TMPNB_SCREENSHOTS") == "1" else tmp_path
    await page.locator("body").screenshot(path=folder / "article.png")


@pytest.mark.local
async def test_our_pages_and_the_notebook_are_framed_by_the_named_sites_alone(
    worlds: Worlds,
) -> None:
    world = await worlds.get(cookies=BLOCKED)
    taken = await world.take()
    notebook = f"/user/{taken['id']}/lab?token={taken['token']}"
    for path in ("/", "/lab", "/embed", "/info", "/user/gone12345678/lab", notebook):
        headers = (await world.service.fetch(path, headers=PERSON)).headers
        policies = [p.strip() for p in headers["Content-Security-Policy"].split(";")]
        framers = [p for p in policies if p.startswith("frame-ancestors")]
        assert framers == [f"frame-ancestors 'self' {world.article}"], path
        assert "X-Frame-Options" not in headers, path
    frame = f'<iframe title="A notebook" src="{taken["url"]}"></iframe>'
    page = await world.read(frame)
    await expect(page.frame_locator("iframe").locator("#main, .jp-LabShell")).to_be_attached(
        timeout=WAIT
    )
    refused = await world.read(frame, origin=world.stranger)
    assert "/user/" not in frame_of(refused).url
    assert [c for c in world.seen.complaints if "frame-ancestors" in c]


@pytest.mark.long
@pytest.mark.docker
async def test_notebook_in_a_container_works_in_an_article_without_third_party_cookies(
    engine: RealEngine,
) -> None:
    flags = ("--spawner=docker", "--image=tmpnb-test/notebook", "--pool-size=1")
    names = (f"--pool-name=embed-{engine.run}", f"--DockerSpawner.labels={LABEL}={engine.run}")
    worlds = Worlds(*flags, *names)
    try:
        world = await worlds.get(https=True, cookies=BLOCKED)
        reader = await work(world, LINKS["lab"], cut=by_losing_the_proxy)
        [url] = await reader.page.evaluate("Object.values(sessionStorage)")
        taken = {"base_url": url.partition("lab/")[0], "token": url.rpartition("token=")[2]}
        assert await heard(reader.page, taken) == 200, "scripts of the article may ask it"
    finally:
        await worlds.close()


def test_screenshot_of_the_documentation_exists() -> None:
    assert SCREENSHOT.stat().st_size > 10_000
    assert SCREENSHOT.read_bytes().startswith(b"\x89PNG")
