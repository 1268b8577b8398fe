"""What the kit adds to a notebook's page: storage that works, and a word before the end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect
from tornado.ioloop import IOLoop

from tests.e2e.browser.browser import axe_violations, scrolls_sideways, stop_clock, watch
from tests.e2e.browser.kit_site import BASE, HOUR, ID, IDLE, PAGE, TOKEN, UNKNOWN, KitSite

MINUTE = 60
SETTLED = 20.0  # seconds until a page has its answer
QUERY = "?token=a%20b%26c"
COUNT_QUESTIONS = """
    window.unanswered = 0;
    const count = (made) => function (...all) {
        unanswered += 1;
        return made.apply(this, all).finally(() => { unanswered -= 1; });
    };
    window.fetch = count(window.fetch);
    Response.prototype.json = count(Response.prototype.json);
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.gen_test(timeout=60),
]


@pytest.fixture
def lab(io_loop: IOLoop) -> Iterator[KitSite]:
    running = KitSite()

    async def start() -> object:
        return running.start()

    server = io_loop.run_sync(start)
    yield running
    server.stop()
    io_loop.run_sync(server.close_all_connections)


def hint(page: Page) -> Locator:
    return page.locator("tmpnb-hint section")


async def open_page(browser: Browser, lab: KitSite, **options: object) -> Page:
    context = await browser.new_context(**options)  # type: ignore[arg-type]  # passed through
    return await open_in(context, lab)


async def open_in(context: BrowserContext, lab: KitSite) -> Page:
    page = await context.new_page()
    await page.add_init_script(COUNT_QUESTIONS)
    await stop_clock(page)
    async with page.expect_response("**/api/servers/*"):
        await page.goto(f"{lab.url}{PAGE}")
    return page


async def pass_time(page: Page, lab: KitSite, seconds: float) -> None:
    """Let time pass here and there, in steps after each of which the page has its answer."""
    while seconds > 0:
        step = min(seconds, 30)
        lab.pass_time(step)
        await page.clock.run_for(step * 1000)
        await settle(page)
        seconds -= step


async def settle(page: Page) -> None:
    """Return when what the page asked for has been answered, and it knows the answer."""
    async with asyncio.timeout(SETTLED):
        while await page.evaluate("unanswered"):
            await asyncio.sleep(0.005)


def watch_sockets(page: Page) -> list[str]:
    """Return the list of websockets that the page opens from now on."""
    opened: list[str] = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    return opened


async def see(page: Page, *, visible: bool) -> None:
    await page.evaluate(
        "state => { Object.defineProperty(Document.prototype, 'visibilityState',"
        " { get: () => state, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        "visible" if visible else "hidden",
    )


async def test_a_small_sign_says_how_long_it_lasts(browser: Browser, lab: KitSite) -> None:
    lab.idle_in = 2 * HOUR
    page = await open_page(browser, lab)
    seen = watch(page.context)
    link = hint(page).get_by_role("link", name="Temporary · closes in 2 hours unless you use it")
    await expect(link).to_have_attribute("href", f"/session/{ID}{QUERY}")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")
    await expect(page.get_by_role("status")).to_be_empty()
    assert lab.asked == [("GET", f"/api/servers/{ID}", f"token {TOKEN}")]
    assert seen.complaints == []
    await hint(page).get_by_role("button", name="Close").click()
    await expect(hint(page)).to_be_hidden()
    async with page.expect_response("**/api/servers/*"):
        await page.reload()
    await settle(page)
    await expect(hint(page)).to_be_hidden()


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_nothing_is_said_where_the_service_does_not_know_it(
    browser: Browser, lab: KitSite, status: int
) -> None:
    lab.status = status
    page = await open_page(browser, lab)
    await pass_time(page, lab, 3 * MINUTE)
    await see(page, visible=True)
    await settle(page)
    await expect(hint(page)).to_be_hidden()
    assert len(lab.asked) == 1


async def test_service_is_asked_once_a_minute_and_by_nobody_who_looks_away(
    browser: Browser, lab: KitSite
) -> None:
    page = await open_page(browser, lab)
    await pass_time(page, lab, 10 * MINUTE)
    assert len(lab.asked) == 11
    await see(page, visible=False)
    await pass_time(page, lab, 10 * MINUTE)
    assert len(lab.asked) == 11
    await see(page, visible=True)
    await settle(page)
    assert len(lab.asked) == 12
    await pass_time(page, lab, MINUTE)
    assert len(lab.asked) == 13


async def test_two_warnings_before_an_idle_notebook_ends(browser: Browser, lab: KitSite) -> None:
    page = await open_page(browser, lab)
    keep = hint(page).get_by_role("button", name="Keep it")
    await pass_time(page, lab, HOUR - 11 * MINUTE)
    await expect(keep).to_be_hidden()
    await pass_time(page, lab, MINUTE)
    await expect(hint(page).get_by_role("status")).to_contain_text("has been idle for a while")
    await expect(hint(page).get_by_role("status")).to_contain_text("Unless you use it")
    await expect(hint(page)).to_contain_text("10 minutes left")
    files = hint(page).get_by_role("link", name="Download my files")
    await expect(files).to_have_attribute("href", re.compile(f"/session/{ID}.*#download$"))
    await expect(hint(page).get_by_role("link", name="More")).to_be_visible()
    await hint(page).get_by_role("button", name="Close").click()
    await pass_time(page, lab, 7 * MINUTE)
    await expect(hint(page)).to_be_hidden()
    await pass_time(page, lab, MINUTE)
    await expect(hint(page)).to_contain_text("2 minutes left")
    await keep.click()
    await expect(hint(page).get_by_role("status")).to_have_text("Kept until 02:14 AM.")
    assert lab.asked[-1] == ("POST", f"/api/servers/{ID}/extend", f"token {TOKEN}")
    await pass_time(page, lab, MINUTE)
    await expect(hint(page)).to_be_hidden()  # as it was closed before


async def test_what_is_read_aloud_does_not_change_with_every_minute(
    browser: Browser, lab: KitSite
) -> None:
    page = await open_page(browser, lab)
    await pass_time(page, lab, HOUR - 9 * MINUTE)
    said = await hint(page).get_by_role("status").text_content()
    await pass_time(page, lab, 2 * MINUTE)
    await expect(hint(page)).to_contain_text("7 minutes left")
    assert said == await hint(page).get_by_role("status").text_content()


async def test_nothing_keeps_a_notebook_that_is_too_old(browser: Browser, lab: KitSite) -> None:
    lab.claimed_at, lab.expires_in, lab.idle_in = lab.now - 4 * HOUR + 500, 500, HOUR
    page = await open_page(browser, lab)
    await expect(hint(page).get_by_role("status")).to_contain_text("This notebook closes at")
    await expect(hint(page)).not_to_contain_text("has been idle")
    await expect(hint(page).get_by_role("button", name="Keep it")).to_be_hidden()


async def test_refused_wish_to_keep_it_is_told(browser: Browser, lab: KitSite) -> None:
    page = await open_page(browser, lab)
    await pass_time(page, lab, HOUR - 9 * MINUTE)
    lab.status = 503
    await hint(page).get_by_role("button", name="Keep it").click()
    await expect(hint(page).get_by_role("status")).to_contain_text("Please try again.")
    await expect(hint(page).get_by_role("button", name="Keep it")).to_be_visible()


@pytest.mark.parametrize(("ended", "questions"), [(IDLE, 1), (UNKNOWN, 2)])
async def test_the_end_is_told_when_it_is_certain(
    browser: Browser, lab: KitSite, ended: dict[str, object], questions: int
) -> None:
    """A service that has just started may not know its servers yet."""
    page = await open_page(browser, lab)
    lab.ended = ended
    await pass_time(page, lab, MINUTE)
    assert len(lab.asked) == 2
    for _ in range(questions - 1):
        await expect(hint(page).get_by_role("link", name="Temporary")).to_be_visible()
        await pass_time(page, lab, 2)
    assert len(lab.asked) == 1 + questions
    await expect(hint(page).get_by_role("status")).to_contain_text("This notebook has ended")
    again = hint(page).get_by_role("link", name="Start a new one, or rescue what is here")
    await expect(again).to_have_attribute("href", f"{BASE}{QUERY}")
    lab.ended = None  # reopened at the same address
    await pass_time(page, lab, MINUTE)
    await expect(hint(page).get_by_role("link", name="Temporary")).to_be_visible()
    await expect(hint(page).get_by_role("status")).to_contain_text("is open again")


async def ask(page: Page, path: str) -> dict[str, Any]:
    """Ask what Jupyter's page would; return status and message."""
    asked = """async (path) => {
        const answer = await fetch(path);
        return { status: answer.status, said: (await answer.json()).message ?? '' };
    }"""
    return dict(await page.evaluate(asked, f"{BASE}{path}"))


async def test_page_learns_of_the_end_by_what_it_asks_and_asks_no_more(
    browser: Browser, lab: KitSite
) -> None:
    page = await open_page(browser, lab)
    lab.ended = IDLE
    assert await ask(page, "api/contents") == {"status": 410, "said": "It is over."}
    await expect(hint(page).get_by_role("status")).to_contain_text("This notebook has ended")
    asked = len(lab.asked)
    for path, status in {
        "api/contents": 410,
        "api/kernels/1": 404,
        "lab/api/workspaces": 410,
    }.items():
        for _ in range(10):
            assert await ask(page, path) == {"status": status, "said": "It is over."}
    assert len(lab.asked) == asked


async def test_websocket_of_an_ended_notebook_is_refused_where_it_is_asked_for(
    browser: Browser, lab: KitSite
) -> None:
    page = await open_page(browser, lab)
    sockets = watch_sockets(page)
    lab.ended = IDLE
    await ask(page, "api/contents")
    closing = asyncio.ensure_future(
        page.evaluate(
            """(url) => new Promise((resolve) => {
                const socket = new WebSocket(url);
                const said = [socket.readyState, socket.url === url];
                socket.onerror = () => said.push('error');
                socket.addEventListener('close', ({ code }) => resolve([...said, code]));
                window.made = true;
            })""",
            f"{lab.url.replace('http', 'ws')}{BASE}api/events/subscribe",
        )
    )
    await page.evaluate("window.made")
    await page.clock.run_for(10)
    closed = await closing
    assert closed == [3, True, "error", 1006]
    assert sockets == []


async def test_websocket_that_breaks_off_makes_the_page_ask(browser: Browser, lab: KitSite) -> None:
    page = await open_page(browser, lab)
    lab.ended = IDLE
    await page.evaluate(
        """(url) => new Promise((resolve) => { new WebSocket(url).onclose = resolve; })""",
        f"{lab.url.replace('http', 'ws')}{BASE}api/events/subscribe",
    )
    await pass_time(page, lab, 2)
    assert lab.asked[-1][1] == f"/api/servers/{ID}"
    await expect(hint(page).get_by_role("status")).to_contain_text("This notebook has ended")


async def test_what_a_person_does_may_find_the_notebook_open_again(
    browser: Browser, lab: KitSite
) -> None:
    page = await open_page(browser, lab)
    lab.ended = IDLE
    await ask(page, "api/contents/x.ipynb")
    lab.ended = None  # reopened in another browser
    assert (await ask(page, "api/contents/x.ipynb"))["status"] == 410, "nobody has done anything"
    await pass_time(page, lab, 3)
    await page.get_by_role("button", name="A cell").click()
    assert (await ask(page, "api/sessions"))["status"] == 410, "that is asked for again and again"
    assert (await ask(page, "api/contents/x.ipynb"))["status"] == 200
    await expect(hint(page).get_by_role("status")).to_contain_text("is open again")
    await hint(page).get_by_role("button", name="Close").click()
    await expect(hint(page)).to_be_hidden()


async def test_other_tabs_are_told_at_once(browser: Browser, lab: KitSite) -> None:
    """That it is kept, and that it has been opened again."""
    page = await open_page(browser, lab)
    other = await open_in(page.context, lab)
    await pass_time(page, lab, HOUR - 9 * MINUTE)
    await hint(page).get_by_role("button", name="Keep it").click()
    await expect(hint(page).get_by_role("status")).to_contain_text("Kept until")
    asked = len(lab.asked)
    await other.clock.run_for(2000)
    await settle(other)
    assert len(lab.asked) == asked + 1
    await expect(hint(other).get_by_role("link", name="closes in 60 minutes")).to_be_visible()

    lab.ended = IDLE
    await ask(other, "api/contents")
    await expect(hint(other)).to_contain_text("has ended")
    lab.ended = None
    async with page.expect_response("**/api/servers/*"):
        await page.reload()
    await other.clock.run_for(2000)
    await settle(other)
    await expect(hint(other).get_by_role("status")).to_contain_text("is open again")


async def test_service_that_is_away_is_no_end(browser: Browser, lab: KitSite) -> None:
    page = await open_page(browser, lab)
    lab.status = 503
    await pass_time(page, lab, 5 * MINUTE)
    await expect(
        hint(page).get_by_role("link", name="Temporary · closes in 55 minutes")
    ).to_be_visible()
    assert len(lab.asked) == 6


@pytest.mark.parametrize(("idle", "left"), [(300, "5 minutes"), (None, "4 hours")])
async def test_short_lives_bring_no_constant_warning(
    browser: Browser, lab: KitSite, idle: float | None, left: str
) -> None:
    lab.idle_in = idle
    page = await open_page(browser, lab)
    await expect(
        hint(page).get_by_role("link", name=f"Temporary · closes in {left}")
    ).to_be_visible()
    await expect(hint(page).get_by_role("button", name="Keep it")).to_be_hidden()


async def test_server_without_limits_says_that_it_is_temporary(
    browser: Browser, lab: KitSite
) -> None:
    lab.expires_in = lab.idle_in = None
    page = await open_page(browser, lab)
    await expect(hint(page).get_by_role("link")).to_have_text("Temporary")


@pytest.mark.parametrize("level", ["calm", "soon", "now", "ended"])
async def test_hint_is_accessible_and_fits_into_a_small_frame(
    browser: Browser, lab: KitSite, level: str
) -> None:
    passed = {"calm": 0, "soon": HOUR - 500, "now": HOUR - 100, "ended": 0}[level]
    page = await open_page(browser, lab, viewport={"width": 320, "height": 300})
    seen = watch(page.context)
    await pass_time(page, lab, passed)
    if level == "ended":
        lab.ended = IDLE
        await pass_time(page, lab, 100)
    await expect(hint(page)).to_have_attribute("data-level", level)
    await page.clock.resume()  # or axe-core would wait for ever
    assert await axe_violations(page) == []
    assert not await scrolls_sideways(page)
    box = await hint(page).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert [c for c in seen.complaints if "Failed to load" not in c] == []


async def test_keyboard_reaches_the_hint_and_closes_it(browser: Browser, lab: KitSite) -> None:
    page = await open_page(browser, lab)
    await pass_time(page, lab, HOUR - 500)
    await page.get_by_role("button", name="A cell").focus()
    focused = page.locator("tmpnb-hint :focus")
    for name in ("Keep it", "Download my files", "More", "Close"):
        await page.keyboard.press("Tab")
        await expect(focused).to_have_accessible_name(name)
    await page.keyboard.press("Escape")
    await expect(hint(page)).to_be_hidden()


async def test_storage_that_throws_is_replaced_and_the_parent_is_told(
    browser: Browser, lab: KitSite
) -> None:
    page = await browser.new_page()
    await page.goto(f"{lab.url}/article")
    await page.evaluate(
        """url => new Promise((resolve) => {
            addEventListener('message', ({ data, origin }) => {
                resolve(window.told = { data, origin });
            });
            const frame = document.createElement('iframe');
            frame.setAttribute('sandbox', 'allow-scripts');
            frame.src = url;
            document.body.append(frame);
        })""",
        PAGE,
    )
    assert await page.evaluate("told") == {"data": {"type": "tmpnb:loaded"}, "origin": "null"}
    kept = await page.frames[1].evaluate(
        """[localStorage, sessionStorage].map((store) => {
            store.setItem('a', 1); store.setItem('b', 2); store.removeItem('b');
            return [store.length, store.key(0), store.getItem('a'), store.getItem('b')];
        })"""
    )
    assert kept == [[1, "a", "1", None]] * 2
