"""What a hostile server plants in a real browser leads its visitor to nobody else's notebook."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Page, expect
from tornado.web import Application, RequestHandler

from tests.support.running_site import SCRIPT, Running
from tests.support.world import cookie_of, gate_of, wait_until
from tmpnb.web import brand
from tmpnb.web.brand import Brand
from tmpnb.web.routes import public_application

pytestmark = [pytest.mark.browser, pytest.mark.gen_test(timeout=120)]

VICTIM, PLANTER = "198.51.100.7", "203.0.113.9"
QUESTION = "Is this notebook yours?"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TERMS = brand.terms("terms.txt", b"Be kind.")

# What a script of the planter's page can do at our origin to answer for the person.
PRESS = """async () => {
    const frame = document.createElement('iframe');
    frame.src = '/spawn/lab';
    const loaded = new Promise((done) => { frame.onload = done; });
    document.body.append(frame);
    await loaded;
    let inside = 'unreadable';
    try { inside = frame.contentDocument.title || 'empty'; } catch {}
    const read = await (await fetch('/', { headers: { Accept: 'text/html' } })).text();
    const form = { choice: 'go-on', offer: '', ticket: '', token: '' };
    const posted = await fetch('/spawn', { method: 'POST', body: new URLSearchParams(form) });
    return { posted: posted.url, read: read.includes('name="offer"'), inside };
}"""

LAY = """(src) => {
    const frame = document.createElement('iframe');
    frame.src = src;
    document.body.append(frame);
}"""


class PlantingHandler(RequestHandler):
    """A page of the planter's server, at the same origin as ours: sets what the query says."""

    def get(self) -> None:
        """Set a cookie by header, or by script."""
        cookie = self.get_query_argument("cookie")
        self.set_header("Content-Type", "text/html")
        if self.get_query_argument("how") == "header":
            self.add_header("Set-Cookie", cookie)
            self.write("<!doctype html><title>x</title>")
        else:
            script = f"document.cookie = {json.dumps(cookie)}"
            self.write(f"<!doctype html><title>x</title><script>{script}</script>")


class ArticleHandler(RequestHandler):
    """A page of another site, with a frame of what the query says."""

    def get(self) -> None:
        """Show the frame."""
        source = self.get_query_argument("src")
        self.write(f'<!doctype html><title>x</title><iframe src="{source}" width=390 height=500>')


def serve(running: Running, **changes: object) -> str:
    application = public_application(replace(running.site, **changes))  # type: ignore[arg-type]  # fields of it
    application.add_handlers(".*", [(r"/user/planter/plant", PlantingHandler)])
    return running.serve(application)


@asynccontextmanager
async def visitor(browser: Browser) -> AsyncIterator[Page]:
    """Open a browser whose network is another than the planter's."""
    context = await browser.new_context(
        viewport={"width": 390, "height": 700}, extra_http_headers={"X-Forwarded-For": VICTIM}
    )
    yield await context.new_page()
    await context.close()


async def plant(page: Page, base: str, cookie: str, how: str = "header") -> None:
    await page.goto(f"{base}/user/planter/plant?{urlencode({'cookie': cookie, 'how': how})}")


async def taken_by_planter(running: Running, base: str) -> tuple[str, str]:
    """Return the path of the planter's server and the value of the cookie for it."""
    headers = SCRIPT | FORM | {"X-Forwarded-For": PLANTER}
    answer = await running.fetch(f"{base}/spawn", "POST", headers=headers, body="")
    cookie = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    return json.loads(answer.body)["url"].partition("lab")[0], cookie


@pytest.mark.parametrize("how", ["header", "script"])
@pytest.mark.parametrize(
    ("name", "path", "link"),
    [
        ("tmpnb-visitor-test-{port}", "/spawn", "/"),
        ("tmpnb-visitor-test-{port}", "/", "/lab"),
        ("tmpnb-visitor-test-{port}", "/spawn/", "/spawn/lab"),
        ("tmpnb-visitor", "/spawn", "/spawn"),
        ("tmpnb-visitor-x-1", "/", "/spawn/lab"),
    ],
)
async def test_a_visitor_is_asked_and_starts_afresh(
    browser: Browser, running: Running, name: str, path: str, link: str, how: str
) -> None:
    base = serve(running)
    server, value = await taken_by_planter(running, base)
    name = name.format(port=base.rpartition(":")[2])
    async with visitor(browser) as page:
        await plant(page, base, f"{name}={value}; Path={path}", how)
        await page.goto(base + link)
        await expect(page.get_by_role("heading")).to_have_text(QUESTION)
        assert running.taken == 1
        await page.get_by_role("button", name="Start fresh").click()
        await page.wait_for_url("**/user/**")
        mine = page.url
        assert server not in mine
        await plant(page, base, f"{name}={value}; Path={path}", how)
        await page.goto(f"{base}/spawn")
        if QUESTION in await page.title():  # ours was overwritten
            await page.get_by_role("button", name="Start fresh").click()
        await page.wait_for_url("**/user/**")
        assert server not in page.url


async def test_going_on_works_without_javascript_and_in_a_frame(
    browser: Browser, running: Running
) -> None:
    article = running.serve(Application([(r"/", ArticleHandler)]))
    base = serve(running, frame_ancestors=f"'self' {article}")
    server, value = await taken_by_planter(running, base)
    context = await browser.new_context(
        java_script_enabled=False, extra_http_headers={"X-Forwarded-For": VICTIM}
    )
    page = await context.new_page()
    await plant(page, base, f"tmpnb-visitor={value}; Path=/spawn")
    await page.goto(f"{article}/?src={base}/spawn/lab")
    inside = page.frame_locator("iframe")
    await expect(inside.get_by_role("heading")).to_have_text(QUESTION)
    async with page.expect_event("framenavigated", lambda f: "/user/" in f.url):
        await inside.get_by_role("button", name="Continue with it").click()
    assert server in page.frames[1].url
    await context.clear_cookies()
    await plant(page, base, f"tmpnb-visitor={value}; Path=/spawn")
    await page.goto(f"{base}/spawn")
    await page.get_by_role("button", name="Continue with it").click()
    await page.wait_for_url("**/user/**")
    assert server in page.url
    await page.goto(f"{base}/spawn")
    assert server in page.url, "it is asked once"
    await context.close()


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("link", ["/", "/lab", "/spawn"])
async def test_who_has_a_notebook_is_led_to_it_whatever_is_planted_beside(
    browser: Browser, running: Running, link: str, script: bool
) -> None:
    base = serve(running)
    server, value = await taken_by_planter(running, base)
    context = await browser.new_context(
        java_script_enabled=script, extra_http_headers={"X-Forwarded-For": VICTIM}
    )
    page = await context.new_page()
    await page.goto(f"{base}/spawn")
    await page.wait_for_url("**/user/**")
    mine = page.url.partition("lab")[0]
    for name in ("tmpnb-visitor", f"tmpnb-visitor-test-{base.rpartition(':')[2]}"):
        await plant(page, base, f"{name}={value}; Path=/")
    await page.goto(base + link)
    if not script and link != "/spawn":
        await page.get_by_role("button", name="Start notebook").click()
    await page.wait_for_url("**/user/**")
    assert page.url.startswith(mine)
    assert server not in page.url
    await context.close()


@pytest.mark.parametrize("link", ["/", "/spawn/lab"])
async def test_a_page_of_a_notebook_cannot_lay_the_question_under_a_button(
    browser: Browser, running: Running, link: str
) -> None:
    base = serve(running)
    server, value = await taken_by_planter(running, base)
    async with visitor(browser) as page:
        await plant(page, base, f"tmpnb-visitor={value}; Path=/spawn")
        refused: list[str | None] = []
        page.on("requestfailed", lambda request: refused.append(request.failure))
        await page.evaluate(LAY, link)
        frame = page.frame_locator("iframe")
        if link == "/":  # starts by itself, as if a click had loaded it
            await expect(frame.get_by_role("heading")).to_have_text("Which notebook?")
            await expect(frame.get_by_role("link", name="Open in a new tab")).to_be_visible()
        else:
            await wait_until(lambda: refused == ["net::ERR_BLOCKED_BY_RESPONSE"])
        assert await frame.get_by_role("button", name="Continue with it").count() == 0
        assert server not in page.frames[1].url
        assert running.taken == 1


async def test_an_old_question_takes_no_notebook_from_its_visitor(
    browser: Browser, running: Running
) -> None:
    """Over https, as browsers then send our cookies along with the answer."""
    base = serve(running)
    server, value = await taken_by_planter(running, base)
    context = await browser.new_context(
        extra_http_headers={"X-Forwarded-For": VICTIM, "X-Forwarded-Proto": "https"}
    )
    old, other = await context.new_page(), await context.new_page()
    await plant(old, base, f"tmpnb-visitor={value}; Path=/; Secure; SameSite=None")
    for page in (old, other):
        await page.goto(f"{base}/spawn")
        await expect(page.get_by_role("heading")).to_have_text(QUESTION)
    await other.get_by_role("button", name="Start fresh").click()
    await other.wait_for_url("**/user/**")
    mine = other.url.partition("lab")[0]
    await old.get_by_role("button", name="Continue with it").click()
    await expect(old.get_by_role("heading")).to_have_text("Is any of these yours?")
    addresses = await old.locator("code").all_inner_texts()
    assert f"{base}/user/{addresses[0]}/" == mine
    await old.get_by_role("button", name="Continue with it").first.click()
    await old.wait_for_url("**/user/**")
    assert old.url.startswith(mine)
    assert server not in old.url
    await context.close()


async def test_no_script_of_the_planter_can_answer_for_the_person(
    browser: Browser, running: Running
) -> None:
    base = serve(running)
    server, value = await taken_by_planter(running, base)
    async with visitor(browser) as page:
        await plant(page, base, f"tmpnb-visitor={value}; Path=/")
        got = await page.evaluate(PRESS)
        assert server not in got.pop("posted")
        assert got == {"read": False, "inside": "unreadable"}
        await page.context.clear_cookies()
        await plant(page, base, f"tmpnb-visitor={value}; Path=/")
        await page.goto(f"{base}/spawn")
        await expect(page.get_by_role("heading")).to_have_text(QUESTION)


async def test_planted_pass_terms_and_session_are_as_absent(
    browser: Browser, running: Running
) -> None:
    orchestrator = running.world.orchestrator
    gate = gate_of(orchestrator, passphrase="four plain words")
    base = serve(running, gate=gate, brand=Brand(terms=TERMS))
    server = await orchestrator.claims.claim()
    held = cookie_of(orchestrator, "pass", gate.passes.by_passphrase(), PLANTER)["Cookie"]
    agreed = cookie_of(orchestrator, "terms", TERMS.version, PLANTER)["Cookie"]
    session = cookie_of(orchestrator, "session", server.id, PLANTER)["Cookie"]
    async with visitor(browser) as page:
        await plant(page, base, f"{agreed}; Path=/")
        await plant(page, base, f"{held}; Path=/spawn")
        await page.goto(f"{base}/lab")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Before you start")
        await page.get_by_role("button", name="I agree").click()
        await expect(page.get_by_role("heading")).to_have_text("What is the passphrase?")
        await plant(page, base, f"{session}; Path=/session/{server.id}")
        answer = await page.goto(f"{base}/session/{server.id}")
        assert answer is not None
        assert answer.status == 403
