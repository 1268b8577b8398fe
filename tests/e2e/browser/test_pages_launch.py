"""Who gets a notebook from the start page, when, and how often: in a real browser."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.e2e.browser.browser import stop_clock, watch
from tests.e2e.browser.pages_site import FULL, NOTEBOOK, PLACE, STARTING, PagesSite
from tests.e2e.running_service import until_true

SPAWN = "/spawn/lab/a%20b.ipynb?x=1&y=2"  # as the pages were given it
STOPPED = "This page has stopped trying by itself."

# A headless browser has no hidden tabs and this one no prerendering: the page is told so.
UNSEEN = {
    "hidden": ("visibilityState", "'hidden'", "'visible'", "visibilitychange"),
    "prerendered": ("prerendering", "true", "false", "prerenderingchange"),
}

pytestmark = pytest.mark.browser


def starts_by_itself(site: PagesSite, how: str = "yes") -> None:
    site.pages["loading"]["autostart"] = how


async def settle(page: Page) -> None:
    """Return when all that the page's scripts asked for before is on its way."""
    assert await page.evaluate("fetch('/api/stats').then(answer => answer.status)") == 200


async def state(page: Page, name: str) -> None:
    await expect(page.locator("main")).to_have_attribute("data-state", name)


@pytest.mark.gen_test(timeout=60)
async def test_page_takes_one_notebook_and_goes_there(browser: Browser, site: PagesSite) -> None:
    starts_by_itself(site)
    context = await browser.new_context()
    seen = watch(context)
    page = await context.new_page()
    await page.goto(f"{site.url}/#In-[3]")
    await page.wait_for_url(f"**{NOTEBOOK}?token=secret#In-[3]")
    assert site.posts == [(SPAWN, "application/json")]
    assert await page.evaluate("history.length") == 2  # about:blank; the start page is replaced
    assert seen.complaints == []
    assert seen.foreign(site.url) == []


@pytest.mark.gen_test(timeout=60)
async def test_looking_at_a_page_takes_nothing(browser: Browser, site: PagesSite) -> None:
    context = await browser.new_context()
    seen = watch(context)
    for name in ("loading", "ended", "error", "info", "reconnecting"):
        page = await context.new_page()
        await page.goto(f"{site.url}/{name}")
        await settle(page)
    assert seen.posts() == []


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("unseen", list(UNSEEN))
async def test_page_nobody_sees_takes_nothing_until_somebody_does(
    browser: Browser, site: PagesSite, unseen: str
) -> None:
    starts_by_itself(site)
    name, before, after, event = UNSEEN[unseen]
    page = await browser.new_page()
    seen = watch(page.context)
    await page.add_init_script(
        f"let value = {before};"
        f"Object.defineProperty(Document.prototype, '{name}', {{ get: () => value }});"
        f"window.appear = () => {{ value = {after};"
        f" document.dispatchEvent(new Event('{event}')); }};"
    )
    await page.goto(site.url)
    await settle(page)
    assert seen.posts() == []
    await page.evaluate("appear()")
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert len(site.posts) == 1


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize(("how", "by_itself"), [("top", False), ("no", False), ("yes", True)])
async def test_page_in_a_frame_waits_for_its_button(
    browser: Browser, site: PagesSite, how: str, by_itself: bool
) -> None:
    starts_by_itself(site, how)
    page = await browser.new_page()
    seen = watch(page.context)
    await page.goto(f"http://article.test:{site.port}/article")
    frame = page.frames[1]
    if not by_itself:
        await expect(frame.get_by_role("link", name="Open in a new tab")).to_be_visible()
        await frame.evaluate("fetch('/api/stats').then(answer => answer.status)")
        assert seen.posts() == []
        await frame.get_by_role("button").click()
    await frame.wait_for_url(f"**{NOTEBOOK}*")
    assert len(site.posts) == 1


@pytest.mark.gen_test(timeout=60)
async def test_page_outside_of_a_frame_starts_by_itself(browser: Browser, site: PagesSite) -> None:
    starts_by_itself(site, "top")
    page = await browser.new_page()
    await page.goto(site.url)
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert len(site.posts) == 1


@pytest.mark.gen_test(timeout=60)
async def test_sandboxed_frame_says_so_and_offers_a_tab(browser: Browser, site: PagesSite) -> None:
    starts_by_itself(site)
    site.sandbox = "allow-scripts allow-forms"
    page = await browser.new_page()
    await page.goto(f"http://article.test:{site.port}/article")
    frame = page.frames[1]
    await expect(frame.get_by_role("link", name="Open in a new tab")).to_be_visible()
    await expect(frame.get_by_role("status")).to_contain_text("sandbox")
    await expect(frame.get_by_role("button")).to_have_count(0)
    assert site.posts == []


@pytest.mark.gen_test(timeout=60)
async def test_form_works_without_javascript(browser: Browser, site: PagesSite) -> None:
    site.answers.append((503, FULL))
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(site.url)
    assert site.posts == []
    await page.get_by_role("button", name="Start notebook").click()
    await expect(page.locator("h1")).to_have_text("No notebook is free right now")
    await expect(page.locator(".hint")).to_have_text("You are number 3 in line.")
    await page.get_by_role("button", name="Look again").click()
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert [path for path, _ in site.posts] == [SPAWN, SPAWN]
    assert site.forms[1]["ticket"] == "t1cket"  # the place is kept


@pytest.mark.gen_test(timeout=60)
async def test_waiting_page_says_what_is_the_case_and_gets_in(
    browser: Browser, site: PagesSite
) -> None:
    starts_by_itself(site)
    site.answers.extend([(503, FULL), (503, STARTING)])
    page = await browser.new_page()
    await stop_clock(page)
    await page.goto(site.url)
    await expect(page).to_have_title("No notebook is free right now · tmpnb")
    status = page.get_by_role("status")
    await expect(status).to_contain_text("This service runs 12 at a time.")
    await expect(page.locator(".hint")).to_have_text(_next_try(10))
    await page.clock.fast_forward(6_000)  # 10 s less 30 % have not passed
    await settle(page)
    assert len(site.posts) == 1
    await page.clock.fast_forward(8_000)
    await expect(page.locator("h1")).to_have_text("Notebooks are getting ready")
    so_far = "Ready so far: 0 of 12. Getting ready: 3. This page goes on by itself: leave it open."
    await expect(status).to_have_text(so_far)
    await page.clock.fast_forward(10_000)
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert len(site.posts) == 3


def told(position: int, estimate: float | None = None) -> str:
    """Return the event that tells a place in line."""
    return f"data: {json.dumps({'position': position, 'estimate': estimate})}"


TURN = "event: turn\ndata: {}"


@pytest.mark.gen_test(timeout=60)
async def test_waiting_room_tells_the_place_and_goes_in_by_itself(
    browser: Browser, site: PagesSite
) -> None:
    starts_by_itself(site)
    site.answers.append((503, FULL | PLACE))
    site.events.append(told(3))
    page = await browser.new_page()
    await page.goto(site.url)
    hint = page.locator(".hint")
    await expect(hint).to_have_text("You are number 3 in line.")
    site.events.append(told(2, 130))
    await expect(hint).to_have_text("You are number 2 in line. That takes about 2 minutes.")
    site.events.append(told(1, 20))
    await expect(hint).to_have_text("You are next. That takes about 20 seconds.")
    assert len(site.posts) == 1
    site.events.append(TURN)
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert site.waits == ["t1cket"]
    assert [form["ticket"] for form in site.forms] == ["", "t1cket"]


@pytest.mark.gen_test(timeout=60)
async def test_a_page_that_is_told_at_once_asks_again_and_goes_in_as_well(
    browser: Browser, site: PagesSite
) -> None:
    """As one is with whose ticket as many others wait as may."""
    starts_by_itself(site)
    site.answers.append((503, FULL | PLACE))
    soon = "retry: 10"
    for place in (9, 8, 7, 6, 5):
        site.events.extend([soon, told(place), ""])
    page = await browser.new_page()
    await page.goto(site.url)
    await expect(page.locator(".hint")).to_have_text("You are number 5 in line.")
    await until_true(lambda: len(site.waits) == 6, "it asks again")
    assert len(site.posts) == 1, "it does not ask for a notebook before its turn"
    site.events.extend([soon, told(1), TURN, ""])
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert site.waits == ["t1cket"] * 6


@pytest.mark.gen_test(timeout=60)
async def test_full_page_waits_in_line(browser: Browser, site: PagesSite) -> None:
    site.events.append(told(2))
    page = await browser.new_page()
    await page.goto(f"{site.url}/full")
    await expect(page.locator(".hint")).to_have_text("You are number 2 in line.")
    assert site.posts == []
    site.events.append(TURN)
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert site.forms == [{"ticket": "t1cket", "wait": "0", "small": "0"}]


@pytest.mark.gen_test(timeout=60)
async def test_reload_keeps_the_place(browser: Browser, site: PagesSite) -> None:
    starts_by_itself(site)
    site.answers.extend([(503, FULL | PLACE)] * 2)
    site.events.extend([told(3), told(3)])
    page = await browser.new_page()
    await page.goto(site.url)
    await expect(page.locator(".hint")).to_contain_text("number 3")
    await page.reload()
    await expect(page.locator(".hint")).to_contain_text("number 3")
    assert [form["ticket"] for form in site.forms] == ["", "t1cket"]


@pytest.mark.gen_test(timeout=60)
async def test_page_asks_itself_where_events_do_not_get_through(
    browser: Browser, site: PagesSite
) -> None:
    starts_by_itself(site)
    site.answers.append((503, FULL | PLACE))
    site.wait_status = 503
    page = await browser.new_page()
    await page.goto(site.url)
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert site.waits == ["t1cket"]
    assert site.forms[1] == {"ticket": "t1cket", "wait": "20", "small": "0"}


@pytest.mark.gen_test(timeout=60)
async def test_button_tries_at_once(browser: Browser, site: PagesSite) -> None:
    starts_by_itself(site)
    site.answers.append((503, FULL))
    page = await browser.new_page()
    await stop_clock(page)
    await page.goto(site.url)
    await state(page, "waiting")
    await page.get_by_role("button", name="Try now").click()
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert len(site.posts) == 2


@pytest.mark.gen_test(timeout=60)
async def test_second_press_takes_no_second_notebook(browser: Browser, site: PagesSite) -> None:
    site.hold = asyncio.Event()
    page = await browser.new_page()
    seen = watch(page.context)
    await page.goto(site.url)
    button = page.get_by_role("button")
    await button.click()
    await state(page, "working")
    await expect(button).to_have_attribute("aria-disabled", "true")
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    await settle(page)
    assert len(seen.posts()) == 1
    site.hold.set()
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert len(site.posts) == 1


@pytest.mark.gen_test(timeout=120)
async def test_tries_are_bounded(browser: Browser, site: PagesSite) -> None:
    starts_by_itself(site)
    site.answers.extend([(503, FULL)] * 50)
    page = await browser.new_page()
    await stop_clock(page)
    await page.goto(site.url)
    for tries in range(1, 40):
        await state(page, "waiting")
        assert len(site.posts) == tries
        async with page.expect_response("**/spawn/**"):
            await page.clock.fast_forward(80_000)
    await expect(page.locator(".hint")).to_have_text(STOPPED)
    await page.clock.fast_forward(600_000)
    await settle(page)
    assert len(site.posts) == 40


@pytest.mark.gen_test(timeout=60)
async def test_lost_connection_is_tried_again_a_few_times(
    browser: Browser, site: PagesSite
) -> None:
    starts_by_itself(site)
    page = await browser.new_page()
    await stop_clock(page)
    lost: list[str] = []

    async def lose(route: Route) -> None:
        lost.append("one")
        await route.abort()

    await page.route("**/spawn/**", lose)
    await page.goto(site.url)
    for tries in range(1, 6):
        await state(page, "waiting")
        await expect(page.locator("h1")).to_have_text("Still trying…")
        assert len(lost) == tries
        async with page.expect_event("requestfailed"):
            await page.clock.fast_forward(80_000)
    await state(page, "failed")
    await expect(page.locator("h1")).to_have_text("The service does not answer")
    await page.unroute("**/spawn/**")
    await page.get_by_role("button", name="Try now").click()
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert len(site.posts) == 1


@pytest.mark.gen_test(timeout=60)
async def test_refusal_is_shown_and_not_repeated(browser: Browser, site: PagesSite) -> None:
    starts_by_itself(site)
    message = "Only from the <campus> network."
    site.answers.append((403, {"error": {"code": "forbidden", "message": message}}))
    page = await browser.new_page()
    await stop_clock(page)
    await page.goto(site.url)
    await expect(page.get_by_role("status")).to_have_text(message)
    await state(page, "failed")
    await page.clock.fast_forward(600_000)
    await settle(page)
    assert len(site.posts) == 1


@pytest.mark.gen_test(timeout=60)
async def test_coming_back_takes_no_second_notebook(browser: Browser, site: PagesSite) -> None:
    starts_by_itself(site)
    site.answers.append((503, FULL))
    page = await browser.new_page()
    await page.goto(site.url)
    await state(page, "waiting")
    await page.goto(f"{site.url}/error")
    await page.go_back()
    await settle(page)
    await expect(page.get_by_role("button", name="Start notebook")).to_be_visible()
    assert len(site.posts) == 1


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize(
    ("button", "path"),
    [
        ("Start a new notebook", SPAWN),
        ("Reopen at the same address", "/spawn/user/Zk3v0bq8rWq1mE5d/lab"),
    ],
)
async def test_ended_page_offers_two_ways_on(
    browser: Browser, site: PagesSite, button: str, path: str
) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{site.url}/ended")
    await page.get_by_role("button", name=button).click()
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert [posted for posted, _ in site.posts] == [path]


def _next_try(seconds: int) -> re.Pattern[str]:
    low, high = round(seconds * 0.7), round(seconds * 1.3)
    words = "|".join(str(number) for number in range(low, high + 1))
    return re.compile(rf"Next try in about ({words}) seconds\.")
