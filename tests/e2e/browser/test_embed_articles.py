"""A notebook in somebody's article: who gets one, when, which one, and who never does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Frame, Page, expect
from tornado.ioloop import IOLoop

from tests.e2e.browser.embed_world import ALLOWED, BLOCKED, Worlds, frame_of, shared

FAKE = ("--spawner=fake", "--pool-size=100", "--min-ready=3")
WAIT = 30_000  # milliseconds until a page shows what it should

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chp,
    pytest.mark.xdist_group("embed_articles"),
    pytest.mark.gen_test(timeout=120),
]


@pytest.fixture(scope="module")
def worlds(browser_loop: IOLoop) -> Iterator[Worlds]:
    yield from shared(browser_loop, *FAKE)


async def launched(page: Page) -> Frame:
    """Press the article's button; return the frame when a notebook is in it."""
    await page.get_by_role("button", name="Launch: Live notebook").click()
    return await in_notebook(page)


async def in_notebook(page: Page) -> Frame:
    await expect(page.locator("iframe")).to_have_count(1)
    frame = frame_of(page)
    await frame.wait_for_url("**/user/**", timeout=WAIT)
    return frame


def server_of(frame: Frame) -> str:
    return frame.url.partition("/user/")[2].partition("/")[0]


@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("cookies", [ALLOWED, BLOCKED], ids=["allow", "block"])
async def test_one_press_takes_one_notebook_and_a_reload_none(
    worlds: Worlds, https: bool, cookies: dict[str, object]
) -> None:
    world = await worlds.get(https=https, cookies=cookies)
    page = await world.read(world.embedding("lab").button())
    button = page.get_by_role("button", name="Launch: Live notebook")
    await expect(button).to_be_visible()
    for _ in range(3):
        await page.reload(wait_until="networkidle")
    assert await world.claims() == 0, "looking takes nothing"
    frame = await launched(page)
    assert await world.claims() == 1
    first = server_of(frame)
    await expect(page.locator("[data-tmpnb-state=ready]")).to_have_count(1)
    for _ in range(2):
        await page.reload()
        assert server_of(await in_notebook(page)) == first
    assert await world.claims() == 1
    out = page.get_by_role("link", name="Open: Live notebook")
    await expect(out).to_have_attribute("href", f"{world.site}/lab")


async def test_frame_without_a_script_takes_a_notebook_only_by_its_button(worlds: Worlds) -> None:
    world = await worlds.get(https=True, cookies=BLOCKED)
    page = await world.read(world.embedding("lab").frame())
    button = page.frame_locator("iframe").get_by_role("button", name="Start notebook")
    await expect(button).to_be_visible(timeout=WAIT)
    await page.reload(wait_until="networkidle")
    assert await world.claims() == 0
    await button.click()
    first = server_of(await in_notebook(page))
    await page.reload()
    await button.click()
    assert server_of(await in_notebook(page)) == first, "the service knows its visitor"
    assert await world.claims() == 1


async def test_an_ended_notebook_is_not_returned_to(worlds: Worlds) -> None:
    world = await worlds.get(cookies=BLOCKED)
    page = await world.read(world.embedding("lab").button())
    first = await launched(page)
    server, token = server_of(first), first.url.rpartition("token=")[2]
    path, headers = f"/api/servers/{server}", {"Authorization": f"token {token}"}
    answer = await world.service.fetch(path, method="DELETE", headers=headers)
    assert answer.code == 204
    await page.reload()
    assert server_of(await launched(page)) != server
    assert await world.claims() == 2


@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
async def test_a_reader_waits_in_line_inside_the_article_and_gets_in_by_itself(https: bool) -> None:
    """Without third-party cookies, and over a reload of the article."""
    worlds = Worlds("--spawner=fake", "--pool-size=1")
    try:
        world = await worlds.get(https=https, cookies=BLOCKED)
        client, spawn = world.service.client, f"{world.service.own_url}/api/spawn"
        first = await world.take()
        page = await world.read(world.embedding("lab").button())
        frame = page.frame_locator("iframe")
        button = page.get_by_role("button", name="Launch: Live notebook")
        await button.click()
        await expect(frame.get_by_text("You are next.")).to_be_visible(timeout=WAIT)
        behind = asyncio.create_task(client.fetch(f"{spawn}?wait=60", method="POST", timeout=80))
        await world.service.until(lambda s: s["waiting"] == 2, "somebody behind")
        await page.reload()
        await button.click()
        await expect(frame.get_by_text("You are next.")).to_be_visible(timeout=WAIT)
        assert (await world.service.numbers())["waiting"] == 2, "the place was kept"
        await expect(page.locator("[data-tmpnb-state=waiting]")).to_have_count(1)
        headers = {"Authorization": f"token {first['token']}"}
        url = f"{world.service.own_url}/api/servers/{first['id']}"
        await client.fetch(url, method="DELETE", headers=headers, timeout=20)
        assert server_of(await in_notebook(page)) != first["id"]
        assert await world.claims() == 2
        kept = await page.evaluate("Object.keys(sessionStorage)")
        assert kept == [f"tmpnb:{world.site}/lab"], "the place is past"
        behind.cancel()
    finally:
        await worlds.close()


async def test_a_site_that_was_not_named_is_refused_by_the_browser(worlds: Worlds) -> None:
    world = await worlds.get()
    page = await world.read("", origin=world.stranger)
    async with page.expect_console_message(lambda m: "frame-ancestors" in m.text):
        html = world.embedding("lab").frame()
        await page.evaluate("html => { document.body.innerHTML = html; }", html)
    frame = frame_of(page)
    await expect(frame.get_by_role("button", name="Start notebook")).to_have_count(0)
    assert not frame.url.startswith(world.site)
    assert await world.claims() == 0


async def test_the_address_of_a_notebook_is_told_to_the_article_alone(worlds: Worlds) -> None:
    world = await worlds.get(cookies=BLOCKED)
    page = await world.read(world.embedding("lab").button())
    await page.evaluate(
        "told = []; addEventListener('message', (e) => told.push([e.origin, e.data.type]))"
    )
    frame = await launched(page)
    assert await page.evaluate("told") == [[world.site, "tmpnb:ready"]]
    kept = await page.evaluate("Object.values(sessionStorage)")
    assert [url.partition("?")[0] for url in kept] == [frame.url.partition("?")[0]]


async def test_an_article_hears_nobody_but_the_frame(worlds: Worlds) -> None:
    world = await worlds.get()
    page = await world.read(world.embedding("lab").button())
    await page.get_by_role("button", name="Launch").click()
    await expect(page.locator("iframe")).to_have_count(1)
    lie = {"type": "tmpnb:ready", "url": f"{world.site}/user/evil/lab?token=x"}
    await page.evaluate("lie => { window.postMessage(lie, '*'); }", lie)
    await page.evaluate("new Promise((done) => setTimeout(done))")
    kept: list[str] = await page.evaluate("Object.values(sessionStorage)")
    assert [url for url in kept if "evil" in url] == []


async def test_a_frame_starts_by_the_word_of_the_page_around_it_alone(worlds: Worlds) -> None:
    """Its own scripts and other windows may say what they like."""
    world = await worlds.get(https=True)
    page = await world.read(world.embedding("lab").frame())
    frame = frame_of(page)
    button = frame.get_by_role("button", name="Start notebook")
    await expect(button).to_be_visible(timeout=WAIT)
    await frame.evaluate("window.postMessage({ type: 'tmpnb:start' }, '*')")
    await frame.evaluate("new Promise((done) => setTimeout(done))")
    assert await world.claims() == 0
    await page.evaluate(
        "document.querySelector('iframe').contentWindow"
        f".postMessage({{ type: 'tmpnb:start' }}, '{world.site}')"
    )
    await in_notebook(page)
    assert await world.claims() == 1


@pytest.mark.parametrize("sandbox", ["allow-scripts allow-forms allow-popups", "allow-forms"])
async def test_a_sandboxed_frame_says_so_and_offers_a_tab(worlds: Worlds, sandbox: str) -> None:
    world = await worlds.get()
    page = await world.read(f'<iframe title=t sandbox="{sandbox}" src="{world.site}/lab">')
    frame = page.frame_locator("iframe")
    link = frame.get_by_role("link", name="Open in a new tab")
    await expect(link).to_be_visible(timeout=WAIT)
    if "allow-scripts" in sandbox:
        await expect(frame.get_by_role("button")).to_have_count(0)
        await expect(frame.get_by_role("status")).to_contain_text("sandbox")
        await expect(frame.get_by_text(f"{world.site}/lab", exact=True)).to_be_visible()
    else:
        await frame.get_by_role("button", name="Start notebook").click()
        await expect(frame.get_by_text("keeps it in a sandbox")).to_be_visible()
        assert await world.claims() == 0
        return
    async with world.context.expect_page() as opened:
        await link.click()
    assert (await opened.value).url.startswith(world.site)


async def test_a_sandbox_that_allows_what_is_needed_is_no_obstacle(worlds: Worlds) -> None:
    world = await worlds.get(cookies=BLOCKED)
    sandbox = "allow-scripts allow-same-origin allow-forms"
    page = await world.read(f'<iframe title=t sandbox="{sandbox}" src="{world.site}/lab">')
    await page.frame_locator("iframe").get_by_role("button", name="Start notebook").click()
    await in_notebook(page)
    assert await world.claims() == 1


async def test_several_notebooks_in_one_article_and_a_keyboard(worlds: Worlds) -> None:
    world = await worlds.get(cookies=BLOCKED)
    one = world.embedding("lab", title="One", height=300).button()
    two = world.embedding("notebooks/b.ipynb", title="Two", height=300).button()
    page = await world.read(one + two)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Launch: One")).to_be_focused()
    await page.keyboard.press("Enter")
    skip = page.get_by_role("link", name="Skip: One")
    await expect(skip).to_be_visible()
    await (await in_notebook(page)).evaluate("0")
    await skip.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Open: One")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Launch: Two")).to_be_focused()
    frame = page.locator("iframe[title=One]")
    box = await frame.bounding_box()
    assert box is not None
    assert box["height"] == pytest.approx(302, abs=3)


async def test_a_notebook_that_is_added_later_gets_its_button_too(worlds: Worlds) -> None:
    world = await worlds.get()
    page = await world.read(world.embedding("lab").button())
    await expect(page.get_by_role("button")).to_have_count(1)
    await page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<div data-tmpnb=\"/other\"></div>');"
        "document.dispatchEvent(new Event('tmpnb:look'))"
    )
    await expect(page.get_by_role("button")).to_have_count(2)


@pytest.mark.parametrize("has_link", [True, False], ids=["with a link", "without"])
async def test_a_page_that_may_show_no_notebooks_says_so_and_who_may(
    worlds: Worlds, has_link: bool
) -> None:
    world = await worlds.get(https=True)
    html = world.embedding("lab").button()
    if not has_link:
        html = re.sub("<a .*</a>", "", html)
    page = await world.read(html, origin=world.stranger)
    await page.get_by_role("button", name="Launch: Live notebook").click()
    told = page.get_by_role("alert")
    host = world.site.removeprefix("https://")
    await expect(told).to_contain_text(f"Notebooks of {host} cannot be shown in this page.")
    await expect(told).to_contain_text(f"Pages of these sites may: {world.article}.")
    await expect(told).to_be_focused()
    await expect(page.locator("iframe")).to_have_count(0)
    await expect(page.locator("[data-tmpnb]")).to_have_attribute("data-tmpnb-state", "refused")
    assert await world.claims() == 0
    async with page.expect_popup() as opened:
        await page.locator("[data-tmpnb] a").click()
    tab = await opened.value
    await tab.wait_for_url("**/user/**", timeout=WAIT)
    await tab.close()


async def test_a_page_on_https_says_that_it_cannot_show_notebooks_without(worlds: Worlds) -> None:
    world = await worlds.get(https=True)
    html = world.embedding("lab").button()
    html = html.replace(f'data-tmpnb="{world.site}', 'data-tmpnb="http://tmp.test:8')
    page = await world.read(html)
    await page.get_by_role("button", name="Launch: Live notebook").click()
    await expect(page.get_by_role("alert")).to_contain_text("It is not on https, as this page is.")
    await expect(page.locator("iframe")).to_have_count(0)


async def test_where_the_service_does_not_say_whether_it_may_the_frame_stays(
    worlds: Worlds,
) -> None:
    """As in a page whose own policy lets it ask nobody."""
    world = await worlds.get(https=True)
    policy = "<meta http-equiv='Content-Security-Policy' content=\"connect-src 'self'\">"
    page = await world.read(policy + world.embedding("lab").button())
    await launched(page)
    await expect(page.get_by_role("alert")).to_have_count(0)
