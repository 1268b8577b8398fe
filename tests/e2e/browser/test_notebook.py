"""A visitor with a real browser: from `/` to a cell that was run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, FrameLocator, Page, expect
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tests.e2e.browser.browser import tell_failures, watch
from tests.e2e.running_service import Service, serving
from tests.support.engines.docker import LABEL, RealEngine
from tests.support.requirements import ROOT, missing

WAIT = 60_000  # milliseconds until a page shows what it should
HOME = ROOT / "tests" / "home"
SCREENSHOT = ROOT / "docs" / "images" / "screenshot.png"
README = ROOT / "docs" / "images" / "article.png"  # taken by test_embed_matrix.py

pytestmark = [pytest.mark.browser, pytest.mark.chp, pytest.mark.gen_test(timeout=240)]


@asynccontextmanager
async def docker_service(*flags: str) -> AsyncIterator[Service]:
    engine = RealEngine.needed(missing)
    pool = ["--spawner=docker", "--image=tmpnb-test/notebook", f"--pool-name=web-{engine.run}"]
    label = f"--DockerSpawner.labels={LABEL}={engine.run}"
    try:
        async with serving(*pool, label, *flags) as service:
            yield service
    finally:
        engine.remove_all()


@asynccontextmanager
async def local_service(*flags: str) -> AsyncIterator[Service]:
    pool = ["--spawner=local", f"--notebook-dir={HOME}", f"--pool-name=web-{os.getpid()}"]
    async with serving(*pool, *flags) as service:
        yield service


ENGINES = [
    pytest.param(docker_service, id="docker", marks=pytest.mark.docker),
    pytest.param(local_service, id="local", marks=pytest.mark.local),
]


async def run_in_last_cell(page: Page | FrameLocator, keyboard: Page, code: str) -> None:
    """Type into the last cell of the open notebook, once its kernel is there, and run it."""
    kernel = page.locator(".jp-KernelName").first
    await expect(kernel).to_contain_text("ipykernel", timeout=WAIT)
    idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first
    await expect(idle).to_be_attached(timeout=WAIT)
    cell = page.locator(".jp-CodeCell .cm-content").last
    await cell.click(timeout=WAIT)
    await keyboard.keyboard.press("Control+a")
    await keyboard.keyboard.type(code)
    await expect(page.locator(".jp-CodeCell .cm-content", has_text=code).last).to_be_visible()
    await keyboard.keyboard.press("Shift+Enter")


@pytest.mark.parametrize("service_of", ENGINES)
async def test_root_leads_to_jupyterlab_where_a_cell_runs(
    browser: Browser, service_of: type
) -> None:
    async with service_of("--pool-size=1") as service:
        await service.until_ready(1)
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        tell_failures(context)
        seen = watch(context)
        page = await context.new_page()
        await page.goto(f"{service.url}/")
        await page.wait_for_url("**/user/*/lab*", timeout=WAIT)
        await (
            page.get_by_role("button", name="Python 3")
            .first.or_(page.locator(".jp-LauncherCard[data-category='Notebook']"))
            .first.click(timeout=WAIT)
        )
        await run_in_last_cell(page, page, "1+1")
        output = page.locator(".jp-OutputArea-output").first
        await expect(output).to_have_text("2", timeout=WAIT)
        assert "token" not in page.url, "the token left the address bar"
        assert seen.foreign(service.url, service.url.replace("http", "ws")) == []
        assert (await service.stats())["claims_total"] == 1
        if service_of is docker_service and os.environ.get("TMPNB_SCREENSHOTS") == "1":
            await page.screenshot(path=SCREENSHOT)
        await context.close()


@pytest.mark.parametrize(
    ("service_of", "path"),
    [  # where a link leads is the same whatever the engine
        pytest.param(docker_service, "notebooks/x.ipynb", id="docker", marks=pytest.mark.docker),
        pytest.param(local_service, "tree/x.ipynb", id="local", marks=pytest.mark.local),
    ],
)
async def test_deep_link_opens_notebook_7_without_cookies(
    browser: Browser, service_of: type, path: str
) -> None:
    """`tree/x.ipynb` would be redirected to `notebooks/` without the token, to a login page."""
    async with service_of("--pool-size=1") as service:
        await service.until_ready(1)
        context = await browser.new_context()
        tell_failures(context)
        page = await context.new_page()
        await page.goto(f"{service.url}/spawn/{path}")
        await page.wait_for_url("**/user/*/notebooks/x.ipynb*", timeout=WAIT)
        await run_in_last_cell(page, page, "6*7")
        await expect(page.locator(".jp-OutputArea-output").last).to_have_text("42", timeout=WAIT)
        await context.close()


@pytest.mark.local
async def test_open_page_in_which_nothing_happens_does_not_keep_its_server(
    browser: Browser,
) -> None:
    """It asks the server again and again, and its websocket pings: that is no use."""
    flags = ("--pool-size=1", "--cull-timeout=20", "--cull-period=1", "--cull-max=3600")
    async with local_service(*flags) as service:
        await service.until_ready(1)
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{service.url}/spawn/notebooks/x.ipynb")
        for count in range(6):  # longer than the limit in all
            await run_in_last_cell(page, page, f"import time; time.sleep(4); {count} + 42")
            output = page.locator(".jp-OutputArea-output").last
            await expect(output).to_have_text(f"{count + 42}", timeout=WAIT)
        assert (await service.stats())["claims_total"] == 1
        assert (await service.stats())["claimed"] == 1, "a page that is used keeps its server"
        await service.until(lambda s: not s["claimed"] and s["available"], "culled")
        assert "reason=idle" in service.log.read_text()
        await context.close()


@pytest.mark.docker
async def test_notebook_runs_in_an_article_on_another_site(browser: Browser) -> None:
    """A plain frame on another site, a click, a cell."""

    class Article(RequestHandler):
        def get(self) -> None:
            self.finish(
                "<!doctype html><title>Article</title><h1>An article</h1>"
                f'<iframe title="Live notebook" src="http://tmp.test:{visitors}/notebooks/x.ipynb"'
                ' width="900" height="600" allow="clipboard-read; clipboard-write; fullscreen">'
                "</iframe>"
            )

    sock, port = bind_unused_port()
    origin = f"http://article.test:{port}"
    async with docker_service("--pool-size=1", f"--embed-origins={origin}") as service:
        visitors = service.visitors
        server = HTTPServer(Application([("/", Article)]))
        server.add_socket(sock)
        await service.until_ready(1)
        context = await browser.new_context(viewport={"width": 1000, "height": 760})
        tell_failures(context)
        page = await context.new_page()
        await page.goto(origin)
        frame = page.frame_locator("iframe")
        button = frame.get_by_role("button").first
        await expect(button).to_be_visible(timeout=WAIT)
        assert (await service.stats())["claims_total"] == 0, "a page view takes no server"
        await button.click()
        await run_in_last_cell(frame, page, "40+2")
        await expect(frame.locator(".jp-OutputArea-output").last).to_have_text("42", timeout=WAIT)
        await context.close()
        server.stop()


@pytest.mark.parametrize("picture", [SCREENSHOT, README], ids=lambda path: path.name)
def test_pictures_of_notebooks_exist(picture: Path) -> None:
    assert picture.stat().st_size > 10_000
    assert picture.read_bytes().startswith(b"\x89PNG")
