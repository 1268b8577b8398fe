"""The operator's page in a browser: usable without scripts, by anybody, and by no other page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from playwright.async_api import Browser, expect
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from tests.e2e.browser.browser import axe_violations, scrolls_sideways
from tests.support.requirements import ROOT
from tests.support.running_site import Running
from tests.support.world import gate_of, wait_until
from tmpnb.access import bans
from tmpnb.access.bans import Bans
from tmpnb.core.server import Phase
from tmpnb.web.admin.operating import Operating
from tmpnb.web.routes import admin_application

pytestmark = [pytest.mark.browser, pytest.mark.gen_test(timeout=120)]

TOKEN = "adm1n-adm1n-adm1n"
PICTURE = ROOT / "docs" / "images" / "admin.png"
PHONE = {"width": 390, "height": 844}
Scheme = Literal["light", "dark"]


class AdminSite:
    """A service with visitors, and its admin port with and without a token."""

    def __init__(self, io_loop: IOLoop) -> None:
        self._loop, self._stack = io_loop, AsyncExitStack()
        io_loop.run_sync(self._start)

    async def _start(self) -> None:
        self.running = running = Running(4, self._stack)
        await running.start()
        running.world.orchestrator.rollout.image = "my/notebook:2"
        self.bans = Bans()
        gate = gate_of(running.world.orchestrator, banned=self.bans)
        operating = Operating(self.bans)
        changes = {"gate": gate, "operating": operating}
        public = running.public(**changes)
        for client in ("192.0.2.7", "2001:db8:1:2::5"):
            headers = {"X-Forwarded-For": client}
            assert (await public("/api/spawn", method="POST", headers=headers)).code == 200
        self.bans.add(bans.network("198.51.100.0/24"))
        site = replace(running.site, **changes)
        self.url = running.serve(admin_application(site))
        self.closed_url = running.serve(admin_application(replace(site, admin_token=TOKEN)))

    def close(self) -> None:
        self._loop.run_sync(self._stack.aclose)


@pytest.fixture
def site(io_loop: IOLoop) -> Iterator[AdminSite]:
    made = AdminSite(io_loop)
    yield made
    made.close()


async def test_all_is_done_without_scripts(browser: Browser, site: AdminSite) -> None:
    world = site.running.world
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(site.url)
    await expect(page.locator("h1")).to_have_text("Who is here")
    await expect(page.locator(".cards").first).to_contain_text("192.0.2.7")

    [server] = (s for s in world.servers(Phase.CLAIMED) if str(s.client) == "192.0.2.7")
    await page.get_by_text(f"Stop {server.id}").click()
    await page.get_by_role("button", name="Stop it").click()
    await expect(page.get_by_role("status")).to_have_text("The server is being stopped.")
    await world.until_gone(server.id)

    await page.get_by_label("Address or network").fill("2001:db8::/32")
    await page.get_by_label("Stop the servers that it has").check()
    await page.get_by_role("button", name="Ban it").click()
    await expect(page.get_by_role("button", name="Let 2001:db8::/32 in again")).to_be_visible()
    assert world.servers(Phase.CLAIMED) == []

    await page.get_by_label("Shown above every page").fill("Down on Friday.")
    await page.get_by_role("button", name="Announce").click()
    await expect(page.get_by_label("Announcement").first).to_contain_text("Down on Friday.")
    await page.get_by_role("button", name="Replace all unclaimed servers").click()
    await expect(page.get_by_role("status")).to_contain_text("are being replaced")

    await page.get_by_label("Another image").fill("my/notebook:3")
    await page.get_by_role("button", name="Use it").click()
    await expect(page.get_by_role("status")).to_contain_text("to try it")
    await wait_until(lambda: world.orchestrator.image == "my/notebook:3")
    await page.reload()  # sends no form again
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_anybody_can_use_it_at_any_width(
    browser: Browser, site: AdminSite, scheme: Scheme, tmp_path: Path
) -> None:
    """With TMPNB_SCREENSHOTS=1 the picture goes to docs/."""
    world = site.running.world
    world.orchestrator.health.report("attic", "the engine has little room left")
    for number, server in enumerate(world.pool.servers.values()):
        server.image, server.since = "my/notebook:2", server.since - 100 * number
        server.claimed_at = server.claimed_at and server.since
    page = await browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 800})
    await page.goto(f"{site.url}/admin/?usage=1")
    assert await axe_violations(page) == []
    assert not await scrolls_sideways(page)
    folder = ROOT if os.environ.get("TMPNB_SCREENSHOTS") == "1" else tmp_path
    await page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    if folder is ROOT and scheme == "light":
        await page.screenshot(path=PICTURE, full_page=True)
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a size
    assert not await scrolls_sideways(page)
    await page.screenshot(path=tmp_path / f"{scheme}-phone.png", full_page=True)
    await page.goto(f"{site.closed_url}/admin/?said=wrong")
    assert await axe_violations(page) == []
    assert not await scrolls_sideways(page)
    await page.close()


async def test_with_a_token_one_logs_in_and_out(browser: Browser, site: AdminSite) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(site.closed_url)
    for token, said in (("another", "That is not the token."), (TOKEN, "Who is here")):
        await page.get_by_label("The token in ADMIN_AUTH_TOKEN").fill(token)
        await page.get_by_role("button", name="Log in").click()
        await expect(page.locator("main")).to_contain_text(said)
    [cookie] = await context.cookies()
    assert cookie["path"] == "/admin/"
    assert cookie["httpOnly"]
    await page.get_by_role("button", name="Log out").click()
    await expect(page.locator("h1")).to_have_text("Are you the operator?")
    assert await context.cookies() == []
    await context.close()


class Heard(RequestHandler):
    """A notebook of somebody else, at another port of the same host."""

    cookies: ClassVar[list[str]] = []

    def get(self) -> None:
        self.cookies.append(self.request.headers.get("Cookie", ""))
        self.write("<h1>A notebook</h1>")


ATTACK = """async (url) => {
    const said = [];
    for (const method of ['GET', 'POST'])
        await fetch(`${url}/admin/`, {method, credentials: 'include', mode: 'no-cors',
            body: method == 'POST' ? new URLSearchParams({do: 'drain'}) : undefined})
            .then(a => said.push(a.type), e => said.push('refused'));
    await fetch(`${url}/admin/`, {credentials: 'include'}).then(
        async a => said.push(await a.text()), () => said.push('unread'));
    return said;
}"""


async def test_a_notebook_at_another_port_neither_reads_nor_does_anything(
    browser: Browser, site: AdminSite
) -> None:
    notebook = site.running.serve(Application([("/user/x/lab", Heard)]))
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(site.closed_url)
    await page.get_by_label("The token in ADMIN_AUTH_TOKEN").fill(TOKEN)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("h1")).to_have_text("Who is here")
    await page.goto(f"{notebook}/user/x/lab")
    assert Heard.cookies[-1] == "", "the operator's cookie is not told to notebooks"
    said = await page.evaluate(ATTACK, site.closed_url)
    assert said[-1] == "unread"
    drained = [s for s in site.running.world.pool.servers.values() if s.drained]
    assert drained == []
    await context.close()


async def test_a_name_that_leads_here_and_a_frame_show_nothing(
    browser: Browser, site: AdminSite
) -> None:
    page = await browser.new_page()
    await page.goto(site.url.replace("127.0.0.1", "evil.test") + "/admin/")
    await expect(page.locator("main")).to_contain_text("does not go by this name")
    await page.goto(f"{site.url}/admin/")
    await page.evaluate(
        "url => { const f = document.createElement('iframe'); f.src = url; f.id = 'inner';"
        " document.body.append(f); return new Promise(r => { f.onload = r; }).then(() => 1); }",
        f"{site.url}/admin/",
    )
    inner = page.frame_locator("#inner")
    assert await inner.locator("h1", has_text="Who is here").count() == 0
    await page.close()
