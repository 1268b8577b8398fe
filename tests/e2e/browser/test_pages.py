"""The pages a visitor sees, in a real browser: for everybody, on every screen, and small."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.browser.browser import axe_violations, scrolls_sideways, stop_clock, watch
from tests.e2e.browser.pages_site import (
    NOTEBOOK,
    STARTING,
    PagesSite,
    look_at_numbers,
    next_numbers,
)
from tests.support.requirements import ROOT
from tmpnb.core.endings import Farewell
from tmpnb.core.server import StopReason
from tmpnb.visitors.time_left import Lifetime
from tmpnb.web.embedding import embedding
from tmpnb.web.pages.session import outlook

PAGES = (
    "loading",
    "full",
    "session",
    "ended",
    "reconnecting",
    "error",
    "info",
    "embed",
    "branded",
    "terms",
    "passphrase",
    "question",
    "questions",
)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
LOOKS = list(itertools.product(SCHEMES, ((320, 640), (1280, 800))))
STATIC = ROOT / "tmpnb" / "web" / "static"
TEMPLATES = sorted((ROOT / "tmpnb" / "web" / "templates").glob("*.html"))
IMAGES = ROOT / "docs" / "images" / "pages"


@pytest.mark.browser
@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("name", PAGES)
async def test_page_is_accessible_fits_and_stays_at_home(
    browser: Browser, site: PagesSite, name: str
) -> None:
    if "retry_after" in site.pages[name]:
        site.pages[name]["retry_after"] = 3600  # seconds: the scripts do not act meanwhile
    context = await browser.new_context(reduced_motion="reduce")
    seen = watch(context)
    page = await context.new_page()
    await page.goto(f"{site.url}/{name}")
    for scheme, (width, height) in LOOKS:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": height})
        assert await axe_violations(page) == [], f"{scheme} at {width} px"
        assert not await scrolls_sideways(page), f"{scheme} at {width} px"
    assert seen.foreign(site.url) == []
    own_status = [c for c in seen.complaints if "Failed to load resource" in c]
    assert len(own_status) == (site.pages[name]["status"] >= 400)
    assert [c for c in seen.complaints if c not in own_status] == []


@pytest.mark.browser
@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("state", ["working", "waiting", "failed"])
async def test_every_state_of_a_launch_is_accessible(
    browser: Browser, site: PagesSite, state: str
) -> None:
    forbidden = {"error": {"code": "forbidden", "message": "Only from the campus network."}}
    if state == "working":
        site.hold = asyncio.Event()
    else:
        later = {**STARTING, "retry_after": 3600}
        site.answers.extend([(503, later) if state == "waiting" else (403, forbidden)] * 2)
    site.pages["loading"]["autostart"] = "yes"
    for scheme in SCHEMES:
        page = await browser.new_page(color_scheme=scheme, reduced_motion="reduce")
        await page.goto(site.url)
        await expect(page.locator("main")).to_have_attribute("data-state", state)
        assert await axe_violations(page) == [], scheme
        await page.close()
    if site.hold:
        site.hold.set()


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize(
    "name",
    [
        "loading",
        "full",
        "session",
        "ended",
        "reconnecting",
        "error",
        "branded",
        "question",
        "questions",
    ],
)
async def test_main_action_is_in_sight_in_a_small_frame(
    browser: Browser, site: PagesSite, name: str
) -> None:
    page = await browser.new_page(viewport={"width": 320, "height": 200})
    await page.goto(f"{site.url}/{name}")
    box = await page.locator("button, .button").first.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 200
    assert not await scrolls_sideways(page)


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
async def test_nothing_moves_for_those_who_asked_for_less_motion(
    browser: Browser, site: PagesSite
) -> None:
    moving = {}
    wishes: tuple[Literal["reduce", "no-preference"], ...] = ("reduce", "no-preference")
    for wish in wishes:
        page = await browser.new_page(reduced_motion=wish)
        await page.goto(f"{site.url}/reconnecting")
        moving[wish] = await page.evaluate("document.getAnimations().length")
    assert moving["reduce"] == 0
    assert moving["no-preference"] > 0


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
async def test_keyboard_reaches_the_button_and_shows_where_it_is(
    browser: Browser, site: PagesSite
) -> None:
    page = await browser.new_page()
    await page.goto(site.url)
    focused = page.locator(":focus-visible")
    for name in ("tmpnb", "Start notebook"):
        await page.keyboard.press("Tab")
        await expect(focused).to_have_text(name)
    assert await focused.evaluate("element => getComputedStyle(element).outlineWidth") == "3px"
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/user/**")


def heading(text: str) -> re.Pattern[str]:
    """Return what the title of a page with a heading is."""
    return re.compile(f"^{re.escape(text)} · ")


@pytest.mark.browser
@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("scripts", [True, False])
async def test_titles_say_what_the_headings_say(
    browser: Browser, site: PagesSite, scripts: bool
) -> None:
    stopping = Farewell("It was stopped.", StopReason.CLOSED, 1_040.0, stopping=True)
    site.pages["stopping"] = {**site.pages["ended"], "farewell": stopping, "template": "ended"}
    site.pages["reading"] = {**site.pages["terms"], "agree": "", "template": "terms"}
    site.pages["starting"] = {**site.pages["full"], "starting": 2, "template": "full"}
    page = await browser.new_page(java_script_enabled=scripts)
    for name in (*PAGES, "stopping", "reading", "starting"):
        await page.goto(f"{site.url}/{name}")
        said = await page.locator("h1").text_content()
        await expect(page).to_have_title(heading(said or "?"))


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
async def test_titles_follow_what_scripts_say(browser: Browser, site: PagesSite) -> None:
    page = await browser.new_page()
    await stop_clock(page)
    await page.goto(f"{site.url}/session")
    for _ in "ab":
        said = await page.locator("h1").text_content()
        await expect(page).to_have_title(heading(said or "?"))
        await page.clock.fast_forward(600_000)
        await expect(page.locator("h1")).not_to_have_text(said or "?")


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_what_deletes_files_looks_so(
    browser: Browser, site: PagesSite, scheme: Scheme
) -> None:
    page = await browser.new_page(color_scheme=scheme)
    await page.goto(f"{site.url}/session")
    colour = "element => getComputedStyle(element).backgroundColor"
    keep, *others = [
        await page.get_by_role("button", name=name, include_hidden=True).evaluate(colour)
        for name in ("Keep it", "Start fresh and delete my files", "Stop it and delete my files")
    ]
    assert len({*others}) == 1
    assert keep not in others


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
async def test_a_link_of_the_menu_unfolds_the_fresh_start(
    browser: Browser, site: PagesSite
) -> None:
    page = await browser.new_page()
    await page.goto(f"{site.url}/session")
    fresh = page.get_by_role("button", name="Start fresh and delete my files")
    await expect(fresh).to_be_hidden()
    await page.evaluate("location.hash = '#fresh'")
    await expect(fresh).to_be_visible()
    await page.goto(f"{site.url}/session#fresh")
    await fresh.click()
    await page.wait_for_url(f"**{NOTEBOOK}*")
    assert site.forms == [{"token": "5ec2e7", "server": "Zk3v0bq8rWq1mE5d", "fresh": "1"}]


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
async def test_a_wrong_passphrase_looks_and_is_read_like_an_error(
    browser: Browser, site: PagesSite
) -> None:
    borders = []
    for was_wrong in (False, True):
        site.pages["passphrase"]["was_wrong"] = was_wrong
        page = await browser.new_page()
        await page.goto(f"{site.url}/passphrase")
        field = page.get_by_label("The people who invited you can tell you")
        await expect(field).to_be_focused()
        borders.append(await field.evaluate("e => getComputedStyle(e).borderTopColor"))
        alert = page.get_by_role("alert")
        await expect(alert).to_have_count(int(was_wrong))
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_accessible_description(await alert.inner_text())
    red, plain = await alert.evaluate("e => getComputedStyle(e).color"), borders[0]
    assert borders == [plain, red]
    assert red != plain


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
async def test_two_ends_at_the_same_minute_are_told_once(browser: Browser, site: PagesSite) -> None:
    lifetime = Lifetime(now=1_000.0, claimed_at=0.0, expires_at=14_430.0, idle_at=14_420.0)
    site.pages["session"] |= {"lifetime": lifetime, **outlook(lifetime)}
    for scripts in (True, False):
        context = await browser.new_context(java_script_enabled=scripts)
        page = await context.new_page()
        if scripts:
            await stop_clock(page)  # or the two were in different minutes now and then
        await page.goto(f"{site.url}/session")
        await expect(page.locator("#unused")).to_be_hidden()
        await expect(page.locator("[data-when=expires]")).to_be_visible()
        await context.close()


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
async def test_text_from_outside_is_shown_as_text(browser: Browser, site: PagesSite) -> None:
    page = await browser.new_page()
    await page.goto(f"{site.url}/error")
    await expect(page.locator("main")).to_contain_text("<b>Really</b>")
    assert await page.locator("main b").count() == 0


def test_pages_are_small() -> None:
    sizes = {file.name: file.stat().st_size for file in STATIC.iterdir()}
    scripts = {name: size for name, size in sizes.items() if name.endswith(".js")}
    assert sizes["tmpnb.css"] < 10_000
    assert scripts.pop("embed.js") < 7_000  # of articles, in one piece
    assert max(scripts.values()) < 6_000


@pytest.mark.browser
@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("name", PAGES)
async def test_whole_page_weighs_less_than_25_kilobytes(
    browser: Browser, site: PagesSite, name: str
) -> None:
    page = await browser.new_page()
    seen = watch(page.context)
    await page.goto(f"{site.url}/{name}", wait_until="networkidle")
    urls = [url for _, url in seen.requests if "/wait/" not in url]  # a stream has no end
    sizes = {url: len(await (await page.request.get(url)).body()) for url in urls}
    assert any("tmpnb.css" in url for url in sizes)
    assert sum(sizes.values()) < 25 * 1024, sizes


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_template_needs_nothing_that_the_policy_forbids(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|data:|https?://|//", text) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []


def test_robots_are_kept_from_notebooks() -> None:
    lines = (STATIC / "robots.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["User-agent: *", "Disallow: /user/", "Disallow: /spawn", "Disallow: /api/"]


@pytest.mark.browser
@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_pages_can_be_pictured_for_the_documentation(
    browser: Browser, site: PagesSite, scheme: Scheme, tmp_path: Path
) -> None:
    """With TMPNB_SCREENSHOTS=1 the pictures go to docs/."""
    folder = IMAGES if os.environ.get("TMPNB_SCREENSHOTS") == "1" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    site.pages["loading"]["autostart"] = "yes"
    site.pages["error"]["message"] = "There is nothing at this address."
    asked = {"path": "notebooks/first.ipynb", "title": "The data of figure 2", "height": ""}
    site.pages["embed"]["asked"] = asked
    site.pages["embed"]["wanted"] = embedding("https://notebooks.example", **asked)
    site.pages["embed"]["origins"] = ("https://journal.example", "https://*.blog.example")
    for name in PAGES if scheme == "light" else ("loading", "info"):
        site.hold = asyncio.Event()
        page = await browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 800})
        if name == "info":
            await _look_on_for_ten_minutes(page, site)
        else:
            await stop_clock(page)
            await page.goto(f"{site.url}/{name}")
        await page.evaluate(
            "document.getAnimations().forEach(a => { a.pause(); a.currentTime = 4400; })"
        )
        suffix = "" if scheme == "light" else "-dark"
        target = folder / f"{name}{suffix}.png"
        await page.screenshot(path=target, full_page=name == "embed")
        site.hold.set()
        await page.close()
        assert target.stat().st_size > 5_000


async def _look_on_for_ten_minutes(page: Page, site: PagesSite) -> None:
    await look_at_numbers(page, site)
    for step in range(125):
        starting, stopping = (step % 23 > 16) + (step % 31 > 26), int(step % 17 > 13)
        claimed = round(4 + step / 40 + 2 * ((step // 9 * 7) % 5 - 2) / 2)
        available = 12 - claimed - starting - stopping
        site.stats.update(
            claimed=claimed, starting=starting, stopping=stopping, available=available
        )
        await next_numbers(page, site)
    assert site.polls > 100
