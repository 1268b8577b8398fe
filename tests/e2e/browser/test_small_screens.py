"""Where phones and frames land, in a real browser with a real Jupyter."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect
from tornado.ioloop import IOLoop

from tests.e2e.browser.embed_world import Worlds, frame_of, shared
from tests.e2e.browser.test_notebook import HOME
from tests.e2e.running_service import Service, serving, until_true

PHONE, ON_ITS_SIDE = {"width": 390, "height": 844}, {"width": 844, "height": 390}
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)
DESK = {"width": 1280, "height": 800}
WAIT = 60_000  # milliseconds until Jupyter shows what it should
POOL = ("--spawner=local", f"--notebook-dir={HOME}", "--pool-size=4", "--min-ready=2")
POOL += ("--logging=debug",)

pytestmark = [pytest.mark.browser, pytest.mark.chp, pytest.mark.xdist_group("small_screens")]


@pytest.fixture(scope="module")
def worlds(browser_loop: IOLoop) -> Iterator[Worlds]:
    yield from shared(browser_loop, *POOL)


async def until_known(service: Service) -> None:
    """Return once it is known what the servers have, and two are ready."""
    await until_true(lambda: "small page image=-: True" in service.log.read_text(), "it is known")
    await service.until(lambda s: s["available"] >= 2, "servers that are ready")


@pytest.mark.gen_test(timeout=240)
async def test_a_phone_lands_on_notebook_7_and_a_desk_on_jupyterlab(browser: Browser) -> None:
    async with serving(*POOL, f"--pool-name=small-{os.getpid()}") as service:
        await until_known(service)
        for viewport, path, lands in (
            (PHONE, "/", "tree"),
            (ON_ITS_SIDE, "/", "tree"),
            (DESK, "/", "lab"),
            (PHONE, "/lab", "lab"),  # which the link names
        ):
            context = await browser.new_context(viewport=viewport)  # type: ignore[arg-type]  # a size
            page = await context.new_page()
            await page.goto(f"{service.url}{path}")
            await page.wait_for_url(f"**/user/*/{lands}**", timeout=WAIT)
            if lands == "tree":
                await expect(page.get_by_text("Upload")).to_be_visible(timeout=WAIT)
                width = await page.evaluate("document.documentElement.scrollWidth")
                assert width <= viewport["width"], "nothing is beside the screen"
            await context.close()


@pytest.mark.gen_test(timeout=120)
async def test_a_phone_without_scripts_lands_there_too(browser: Browser) -> None:
    async with serving(*POOL, f"--pool-name=plain-{os.getpid()}") as service:
        await until_known(service)
        context = await browser.new_context(
            viewport={"width": 390, "height": 844},
            user_agent=ANDROID,  # and the hint that goes with it
            is_mobile=True,
            java_script_enabled=False,
        )
        page = await context.new_page()
        await page.goto(f"{service.url}/")
        await page.get_by_role("button", name="Start notebook").click()
        await page.wait_for_url("**/user/*/tree**", timeout=WAIT)
        await context.close()


@pytest.mark.gen_test(timeout=120)
async def test_a_frame_lands_on_notebook_7_unless_its_link_names_a_view(worlds: Worlds) -> None:
    world = await worlds.get()
    await until_known(world.service)
    for link, lands in (("", "tree"), ("lab", "lab")):
        page = await world.read(world.embedding(link).frame())
        frame = frame_of(page)
        await frame.get_by_role("button", name="Start notebook").click()
        await frame.wait_for_url(f"**/user/*/{lands}**", timeout=WAIT)
        await page.close()
        await page.context.clear_cookies()
