"""The page for authors: it shows at once what to paste, copies it, and takes no notebook."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect
from tornado.ioloop import IOLoop

from tests.e2e.browser.embed_world import World, Worlds, shared

WAIT = 30_000  # milliseconds until a page shows what it should

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chp,
    pytest.mark.xdist_group("embed_page"),
    pytest.mark.gen_test(timeout=120),
]


@pytest.fixture(scope="module")
def worlds(browser_loop: IOLoop) -> Iterator[Worlds]:
    yield from shared(browser_loop, "--spawner=fake", "--pool-size=10", "--min-ready=2")


async def authors_page(worlds: Worlds) -> tuple[World, Page]:
    world = await worlds.get(https=True)
    page = await world.context.new_page()
    await page.goto(f"{world.site}/embed")
    return world, page


async def test_what_is_typed_is_shown_at_once_and_takes_nothing(worlds: Worlds) -> None:
    world, page = await authors_page(worlds)
    snippet = page.get_by_label("For an article")
    await expect(snippet).to_have_value(world.embedding().button())
    await page.get_by_label("Path").fill("notebooks/a b.ipynb")
    await page.get_by_label("Title").fill('A "plot"')
    await page.get_by_label("Height").fill("300")
    wanted = world.embedding("notebooks/a%20b.ipynb", title='A "plot"', height=300)
    await expect(snippet).to_have_value(wanted.button())
    await expect(page.get_by_label("Without a script")).to_have_value(wanted.frame())
    await expect(page.get_by_label("Markdown")).to_have_value(wanted.badges()["Markdown"])
    await expect(page.get_by_role("button", name='Launch: A "plot"')).to_be_visible()
    await page.get_by_label("Height").fill("3")
    await expect(page.get_by_role("alert")).to_contain_text("Height: write a number")
    assert await world.claims() == 0


async def test_a_press_copies_what_to_paste(worlds: Worlds) -> None:
    world, page = await authors_page(worlds)
    await world.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy Markdown").click()
    await expect(page.locator("p[role=status]")).to_have_text("Copied: Markdown.")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == world.embedding().badges()["Markdown"]
    button = page.get_by_role("button", name="Copy for an article")
    await button.press("Enter")
    await expect(page.locator("p[role=status]")).to_have_text("Copied: For an article.")
    assert await page.evaluate("navigator.clipboard.readText()") == world.embedding().button()
    await expect(page.get_by_role("button", name="Copied").first).to_be_focused()


async def test_preview_is_the_real_thing_and_stays_while_somebody_works_in_it(
    worlds: Worlds,
) -> None:
    world, page = await authors_page(worlds)
    await page.get_by_role("button", name="Launch: Live notebook").click()
    frame = page.frames[1]
    await frame.wait_for_url("**/user/**", timeout=WAIT)
    assert await world.claims() == 1
    url = frame.url
    await page.get_by_label("Title").fill("Another")
    snippet = page.get_by_label("For an article")
    await expect(snippet).to_have_value(world.embedding(title="Another").button())
    assert page.frames[1].url == url


async def test_without_scripts_the_form_does_it(worlds: Worlds) -> None:
    world = await worlds.get(https=True)
    browser = world.context.browser
    assert browser is not None
    context = await browser.new_context(java_script_enabled=False, ignore_https_errors=True)
    page = await context.new_page()
    await page.goto(f"{world.site}/embed")
    await expect(page.get_by_label("For an article")).to_have_value(world.embedding().button())
    await expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    await page.get_by_label("Path").fill("lab")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/embed?path=lab**")
    await expect(page.get_by_label("Path")).to_have_value("lab")
    await expect(page.get_by_label("For an article")).to_have_value(world.embedding("lab").button())
    await expect(page.get_by_role("link", name="Open: Live notebook")).to_be_visible()
    assert await world.claims() == 0
    await context.close()
