"""Pages that keep themselves up to date: the numbers, and a notebook that comes back."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.browser.browser import stop_clock, watch
from tests.e2e.browser.pages_site import NOTEBOOK, PagesSite, look_at_numbers, next_numbers

pytestmark = pytest.mark.browser

HIDE = """
let hidden = false;
Object.defineProperty(Document.prototype, 'visibilityState',
  { get: () => hidden ? 'hidden' : 'visible' });
window.hide = (value) => {
  hidden = value;
  document.dispatchEvent(new Event('visibilitychange'));
};
"""


async def drawn(page: Page) -> int:
    """Return how many samples the chart shows: an area has two points for each."""
    path = await page.locator(".chart path").first.get_attribute("d")
    return ((path or "").count("L") + 1) // 2


@pytest.mark.gen_test(timeout=60)
async def test_notebook_that_comes_back_is_loaded(browser: Browser, site: PagesSite) -> None:
    site.notebook_status = 503
    page = await browser.new_page()
    seen = watch(page.context)
    await stop_clock(page)
    await page.goto(f"{site.url}{NOTEBOOK}")
    await expect(page.locator("h1")).to_have_text("Reconnecting to your notebook…")
    for _ in range(3):
        async with page.expect_response(f"**{NOTEBOOK}"):
            await page.clock.fast_forward(10_000)
        await expect(page.locator(".hint")).to_contain_text("Next try in about")
    await expect(page.locator("h1")).to_have_text("Reconnecting to your notebook…")
    site.notebook_status = 200
    await page.clock.fast_forward(15_000)
    await expect(page).to_have_title("The notebook")
    assert seen.posts() == []


@pytest.mark.gen_test(timeout=120)
async def test_reconnecting_is_bounded(browser: Browser, site: PagesSite) -> None:
    site.notebook_status = 503
    page = await browser.new_page()
    await stop_clock(page)
    await page.goto(f"{site.url}{NOTEBOOK}")
    for _ in range(40):
        await expect(page.locator(".hint")).to_contain_text("Next try in about")
        async with page.expect_response(f"**{NOTEBOOK}"):
            await page.clock.fast_forward(80_000)
    await expect(page.locator(".hint")).to_have_text("This page has stopped trying by itself.")
    site.notebook_status = 200
    await page.get_by_role("link", name="Try now").click()
    await expect(page).to_have_title("The notebook")


@pytest.mark.gen_test(timeout=60)
async def test_numbers_are_there_without_javascript(browser: Browser, site: PagesSite) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{site.url}/info")
    for name, value in site.stats.items():
        await expect(page.locator(f"td[data-stat={name}]")).to_have_text(str(value))
    await expect(page.locator(".chart path")).to_have_count(4)
    assert site.polls == 0


@pytest.mark.gen_test(timeout=60)
async def test_numbers_are_refreshed(browser: Browser, site: PagesSite) -> None:
    page = await browser.new_page()
    seen = watch(page.context)
    await look_at_numbers(page, site)
    site.stats.update(claimed=9, available=2)
    await next_numbers(page, site)
    await expect(page.get_by_role("row", name="In use")).to_contain_text("9")
    await expect(page.locator(".headline")).to_have_text("2 of 12 notebooks are ready right now.")
    await expect(page.get_by_role("img")).to_have_attribute(
        "aria-label", "Notebooks in use: between 3 and 9, now 9."
    )
    assert seen.complaints == []


@pytest.mark.gen_test(timeout=120)
async def test_history_is_bounded(browser: Browser, site: PagesSite) -> None:
    page = await browser.new_page()
    await look_at_numbers(page, site)
    for _ in range(130):
        await next_numbers(page, site)
    assert site.polls > 130
    assert await drawn(page) == 120


@pytest.mark.gen_test(timeout=60)
async def test_nobody_looking_means_no_polls(browser: Browser, site: PagesSite) -> None:
    page = await browser.new_page()
    await page.add_init_script(HIDE)
    await look_at_numbers(page, site)
    await next_numbers(page, site)
    await next_numbers(page, site)
    await page.evaluate("hide(true)")
    before = site.polls
    await page.clock.run_for(600_000)
    assert await page.evaluate("fetch('/api/stats').then(answer => answer.status)") == 200
    assert site.polls == before + 1  # ours
    site.stats["claims_total"] = 2001
    await page.evaluate("hide(false)")
    await expect(page.locator("td[data-stat=claims_total]")).to_have_text("2001")
    assert await drawn(page) == 2  # a new history: what nobody saw is not drawn


@pytest.mark.gen_test(timeout=60)
async def test_old_numbers_are_called_old(browser: Browser, site: PagesSite) -> None:
    page = await browser.new_page()
    await look_at_numbers(page, site)
    site.stats_status = 503
    await page.clock.run_for(5_000)
    status = page.get_by_role("status")
    await expect(status).to_have_text("The service does not answer; these numbers are old.")
    site.stats_status = 200
    await page.clock.fast_forward(20_000)
    await expect(status).to_have_text("The numbers are fresh again.")
