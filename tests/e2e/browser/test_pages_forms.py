"""Forms in a real browser: pages behind them are found again, and the fragment gets through."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser.pages_site import PagesSite
from tests.support.running_site import Running
from tests.support.world import gate_of
from tmpnb.core.server import Phase, StopReason
from tmpnb.web import brand
from tmpnb.web.brand import Brand

pytestmark = [pytest.mark.browser, pytest.mark.gen_test(timeout=120)]

WORDS = "four plain words"
TERMS = Brand(terms=brand.terms("terms.txt", b"Be kind."))
LINK = "/lab/tree/a%20b.ipynb?x=1#section-2"


async def arrived(page: Page) -> str:
    """Return the id of the server that a page has come to, at the place of the link."""
    await page.wait_for_url("**/user/**")
    place = urlsplit(page.url)
    assert place.fragment == "section-2"
    assert place.path.endswith("/lab/tree/a%20b.ipynb")
    assert place.query.startswith("x=1&token=")
    return place.path.split("/")[2]


async def end_all(running: Running) -> None:
    for server in running.world.servers(Phase.CLAIMED):
        running.world.orchestrator.claims.close(server)
    await running.world.until_ready(running.world.policy.capacity)


async def fill(running: Running) -> None:
    while running.world.servers(Phase.READY):
        await running.world.orchestrator.claims.claim()


async def new_page(browser: Browser, *, scripts: bool = True) -> Page:
    context: BrowserContext = await browser.new_context(java_script_enabled=scripts)
    return await context.new_page()


async def test_the_fragment_gets_through_terms_passphrase_and_line(
    browser: Browser, running: Running
) -> None:
    gate = gate_of(running.world.orchestrator, passphrase=WORDS)
    url = running.serve_public(brand=TERMS, gate=gate)
    await fill(running)
    page = await new_page(browser)
    await page.goto(url + LINK)
    await page.get_by_role("button", name="I agree, start notebook").click()
    for words in ("a guess", WORDS):
        await page.get_by_label("The people who invited you can tell you").fill(words)
        await page.get_by_role("button", name="Start notebook").click()
        if words != WORDS:
            await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.locator("h1")).to_have_text("No notebook is free right now")
    await page.reload()
    await expect(page.locator(".hint")).to_contain_text("You are next.")
    assert running.world.orchestrator.claims.waiting == 1
    await end_all(running)
    await arrived(page)


async def test_the_fragment_gets_through_the_question(browser: Browser, running: Running) -> None:
    url = running.serve_public()
    page = await new_page(browser)
    await page.goto(url + LINK)
    had = await arrived(page)
    await page.set_extra_http_headers({"X-Forwarded-For": "203.0.113.9"})  # on the move
    await page.goto(url + LINK)
    await page.get_by_role("button", name="Continue with it").click()
    assert await arrived(page) == had


@pytest.mark.parametrize("do", ["Keep it", "Stop it and delete my files"])
async def test_back_after_a_form_of_the_page_beside_a_notebook(
    browser: Browser, running: Running, do: str
) -> None:
    url = running.serve_public()
    server = await running.world.orchestrator.claims.claim()
    token = running.world.orchestrator.token_for(server.id)
    page = await new_page(browser)
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.method))
    await page.goto(f"{url}/session/{server.id}?token={token}")
    if do.startswith("Stop"):
        await page.get_by_text("Stop now").click()
    await page.get_by_role("button", name=do).click()
    told = page.get_by_text("It is kept until" if do == "Keep it" else "Its user stopped it")
    await expect(told).to_be_visible()
    await page.reload()
    await expect(told).to_be_visible()
    await page.goto(f"{url}/info")
    await page.go_back()
    await expect(told).to_be_visible()
    assert posts.count("POST") == 1


async def test_a_fresh_start_leads_from_the_page_beside_to_another_notebook(
    browser: Browser, running: Running
) -> None:
    url = running.serve_public()
    page = await new_page(browser)
    await page.goto(url + LINK)
    had = await arrived(page)
    token = running.world.orchestrator.token_for(had)
    await page.goto(f"{url}/session/{had}?token={token}#fresh")
    await page.get_by_role("button", name="Start fresh and delete my files").click()
    await page.wait_for_url("**/user/**")
    assert had not in page.url
    assert running.world.lifetimes.farewell(had).reason is StopReason.CLOSED


@pytest.mark.parametrize("scripts", [True, False])
async def test_who_reopens_waits_in_line_as_all_do(
    browser: Browser, running: Running, scripts: bool
) -> None:
    url = running.serve_public()
    page = await new_page(browser, scripts=scripts)
    await page.goto(f"{url}/spawn{LINK}")
    had = await arrived(page)
    await end_all(running)
    await page.reload()
    await fill(running)
    await page.get_by_role("button", name="Reopen at the same address").click()
    heading = page.locator("h1")
    await expect(heading).to_have_text("No notebook is free right now")
    await expect(page.locator(".hint")).to_contain_text("You are next.")
    assert "tmpnb-form" not in page.url
    assert had in page.url
    for _ in "ab":
        await page.reload()
        await expect(heading).to_have_text("No notebook is free right now")
    assert running.world.orchestrator.claims.waiting == 1
    running.world.orchestrator.claims.close(running.world.servers(Phase.CLAIMED)[0])
    await page.wait_for_url(f"**/user/{had}/lab/tree/a%20b.ipynb?x=1&token=*")


async def test_the_link_past_an_embedded_notebook_shows_at_focus_alone(
    browser: Browser, site: PagesSite
) -> None:
    page = await new_page(browser)
    await page.goto(f"{site.url}/embed")
    await page.get_by_role("button", name="Launch: Live notebook").click()
    skip = page.get_by_role("link", name="Skip: Live notebook")
    size = "e => e.getBoundingClientRect().width"
    assert await skip.evaluate(size) <= 1
    frame = "document.querySelector('iframe').getBoundingClientRect().top + scrollY"
    top = await page.evaluate(frame)
    await skip.focus()
    assert await skip.evaluate(size) > 50
    assert await page.evaluate(frame) == top, "nothing moves"
    await skip.blur()
    assert await skip.evaluate(size) <= 1
