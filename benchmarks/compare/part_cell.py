"""(b) From GET `/` to the first executed cell in Chromium, and (f) the bytes it is sent."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, BrowserContext, Error, Page, async_playwright, expect

from benchmarks.common.command import BenchmarkError, say
from benchmarks.compare.figures import HUB, OURS
from benchmarks.compare.jupyterhub import hub_running
from benchmarks.compare.world import NOTEBOOK, World, tmpnb_filled

WAIT = 120_000  # milliseconds until a page shows what it should
ARGS = (
    "--no-sandbox",  # which does not start for root; the pages are ours
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


async def measure(world: World) -> None:
    """Let the systems take turns."""
    visits = 2 * world.plan.cells
    for _ in range(world.plan.rounds):
        async with chromium() as browser, tmpnb_filled(world, NOTEBOOK, visits) as program:
            await _visits(world, browser, OURS, program.url)
        async with (
            chromium() as browser,
            world.engine(NOTEBOOK) as engine,
            hub_running(engine, NOTEBOOK) as hub,
        ):
            await _visits(world, browser, HUB, hub.url)


async def _visits(world: World, browser: Browser, system: str, url: str) -> None:
    for _ in range(world.plan.cells):
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        try:
            for cache in ("cold", "warm"):
                say(f"{system}: a cell in Chromium, {cache} cache")
                await context.clear_cookies()  # a new visitor, with what the cache has
                await _visit(world, context, system, url, cache)
        except Error as error:
            world.figures.fault(f"{system}, Chromium: {error.message.splitlines()[0]}")
        finally:
            await context.close()


async def _visit(world: World, context: BrowserContext, system: str, url: str, cache: str) -> None:
    page, received = await context.new_page(), 0

    def count(event: dict[str, float]) -> None:
        nonlocal received
        received += int(event["encodedDataLength"])

    devtools = await context.new_cdp_session(page)
    await devtools.send("Network.enable")
    devtools.on("Network.loadingFinished", count)
    begun = time.perf_counter()
    await page.goto(f"{url}/", wait_until="commit")
    await page.wait_for_url("**/user/*/lab*", timeout=WAIT, wait_until="commit")
    await run_a_cell(page)
    seconds = time.perf_counter() - begun
    world.figures.add(("b", f"first executed cell, {cache} cache", system), "s", [seconds])
    world.figures.add(("f", f"to the first cell, {cache} cache", system), "MB", [received / 1e6])
    await page.close()


async def run_a_cell(page: Page) -> None:
    """Open a notebook from JupyterLab's launcher, and return once its first cell has run."""
    card = page.locator(".jp-LauncherCard[data-category='Notebook']").first
    await card.click(timeout=WAIT)
    kernel = page.locator(".jp-KernelName").first  # without one, a cell would not run at all
    await expect(kernel).to_contain_text("ipykernel", timeout=WAIT)
    idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first
    await expect(idle).to_be_attached(timeout=WAIT)
    await page.locator(".jp-CodeCell .cm-content").last.click(timeout=WAIT)
    await page.keyboard.type("6*7")
    await page.keyboard.press("Shift+Enter")
    await expect(page.locator(".jp-OutputArea-output").first).to_have_text("42", timeout=WAIT)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run a Chromium with an empty profile, without a window.

    Raises:
        BenchmarkError: There is none.
    """
    executable = os.environ.get("TMPNB_CHROMIUM") or shutil.which("chromium")
    if executable is None:
        raise BenchmarkError("there is no Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=list(ARGS))
        try:
            yield browser
        finally:
            await browser.close()
