"""What the kit does in the real pages of JupyterLab and Notebook 7."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, WebSocket, expect

from tests.e2e.browser.browser import tell_failures
from tests.e2e.browser.test_notebook import WAIT, local_service
from tests.e2e.browser.test_session import Taken

VIEWS = {"lab": "/lab/tree/x.ipynb", "notebook": "/notebooks/x.ipynb", "tree": "/tree"}
DOCUMENTS = [pytest.param(VIEWS[name], id=name) for name in ("lab", "notebook")]
FEWER_THAN = 60  # requests in two minutes, of all pages together
DONE = 2 * 60 + 1  # seconds

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chp,
    pytest.mark.local,
    pytest.mark.gen_test(timeout=400),
]


@dataclass
class Open:
    """A page of a notebook that somebody has, and what it has asked for."""

    page: Page
    taken: Taken
    asked: list[str] = field(default_factory=list)

    @property
    def hint(self) -> str:
        return "tmpnb-hint section"

    async def menu(self, item: str) -> None:
        await self.page.get_by_role("menuitem", name="Temporary").click(timeout=WAIT)
        await self.page.get_by_role("menuitem", name=item).click(timeout=WAIT)

    async def file_menu(self, item: str) -> None:
        await self.page.get_by_role("menuitem", name="File", exact=True).click(timeout=WAIT)
        await self.page.get_by_role("menuitem", name=item, exact=True).click(timeout=WAIT)

    async def write(self, text: str) -> None:
        """Type into the notebook; it is not saved."""
        cell = self.page.locator(".jp-CodeCell .cm-content").last
        await cell.click(timeout=WAIT)
        await self.page.keyboard.type(text)
        await expect(cell).to_contain_text(text, timeout=WAIT)


async def open_view(context: BrowserContext, taken: Taken) -> Open:
    """Open a page and wait until Jupyter has put ours into its menu, and has a kernel."""
    opened = Open(await context.new_page(), taken)
    opened.page.on("request", lambda request: opened.asked.append(request.url))
    opened.page.on("websocket", lambda socket: opened.asked.append(socket.url))
    if "x.ipynb" in taken.url:
        async with opened.page.expect_websocket(is_of_a_kernel, timeout=WAIT):
            await opened.page.goto(taken.url)
    else:
        await opened.page.goto(taken.url)
    await expect(opened.page.get_by_role("menuitem", name="Temporary")).to_be_visible(timeout=WAIT)
    return opened


def is_of_a_kernel(socket: WebSocket) -> bool:
    return "/channels" in socket.url


@asynccontextmanager
async def one(browser: Browser, path: str) -> AsyncIterator[Open]:
    async with local_service("--pool-size=1") as service:
        await service.until_ready(1)
        context = await browser.new_context()
        tell_failures(context)
        taken = Taken(service, await service.take(path))
        yield await open_view(context, taken)
        await context.close()


@pytest.mark.long
async def test_open_pages_of_ended_notebooks_fall_silent_and_say_so(browser: Browser) -> None:
    """Each view of Jupyter, for two minutes of its clock."""
    async with local_service("--pool-size=3") as service:
        await service.until_ready(3)
        views = []
        for path in VIEWS.values():
            context = await browser.new_context()
            tell_failures(context)
            await context.clock.install()
            views.append(await open_view(context, Taken(service, await service.take(path))))
        for view in views:
            view.asked.clear()
            headers = {"Authorization": f"token {view.taken.token}"}
            address = f"/api/servers/{view.taken.id}"
            await service.fetch(address, method="DELETE", headers=headers)
        for view in views:
            for _ in range(DONE):
                await view.page.clock.run_for(1000)
            await expect(view.page.locator(view.hint)).to_contain_text("This notebook has ended")
            dialog = view.page.locator(".jp-Dialog", has_text="not found")
            await expect(dialog).to_have_count(0)
        asked = [address.partition("?")[0] for view in views for address in view.asked]
        assert len(asked) < FEWER_THAN, asked
        for view in views[:2]:
            await view.page.clock.resume()
            dialog = view.page.locator(".jp-Dialog", has_text="Its user stopped it")
            if await dialog.count():  # Jupyter has tried to save by itself
                await dialog.get_by_role("button", name="Close").click(timeout=WAIT)
            await view.write("# work that shall not be lost in silence")
            await view.page.keyboard.press("Control+s")
            await expect(dialog).to_contain_text("This notebook server", timeout=WAIT)
        for view in views:
            await view.page.context.close()


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_download_from_the_page_beside_it_has_what_was_not_saved(
    browser: Browser, path: str
) -> None:
    async with one(browser, path) as view:
        await view.write("# not saved yet")
        session = await view.page.context.new_page()
        service, taken = view.taken.service, view.taken
        await session.goto(f"{service.url}{taken.session}?token={taken.token}#download")
        async with session.expect_download(timeout=WAIT) as downloading:
            await session.get_by_role("button", name="Download all my files").click()
        archive = zipfile.ZipFile(io.BytesIO((await (await downloading.value).path()).read_bytes()))
        notebook = json.loads(archive.read("notebook-files/x.ipynb"))
        assert "# not saved yet" in "".join(notebook["cells"][-1]["source"])
        await expect(session.get_by_role("status")).to_have_text(
            "What was open has been saved first."
        )


async def test_download_says_what_could_not_be_saved(browser: Browser) -> None:
    async with one(browser, VIEWS["lab"]) as view:
        await view.write("# not saved yet")
        await view.page.route("**/api/contents/**", lambda route: route.abort())
        session = await view.page.context.new_page()
        service, taken = view.taken.service, view.taken
        await session.goto(f"{service.url}{taken.session}?token={taken.token}#download")
        async with session.expect_download(timeout=WAIT):
            await session.get_by_role("button", name="Download all my files").click()
        await expect(session.get_by_role("status")).to_have_text(
            "Not in the zip file, since it could not be saved: x.ipynb."
        )


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_menu_has_what_the_hint_has_once_it_is_closed(browser: Browser, path: str) -> None:
    async with one(browser, path) as view:
        context, hint = view.page.context, view.page.locator(view.hint)
        await hint.get_by_role("button", name="Close").click(timeout=WAIT)
        await expect(hint).to_be_hidden()
        await view.write("# not saved yet")
        async with context.expect_page() as opening:
            await view.menu("Closes in")
        await (await opening.value).wait_for_url(f"**{view.taken.session}", timeout=WAIT)
        before = await view.taken.idle_at()
        await view.menu("Keep It")
        await expect(hint).to_contain_text("Kept until", timeout=WAIT)
        assert await view.taken.idle_at() > before
        async with context.expect_page() as opening:
            await view.menu("Download All My Files")
        await (await opening.value).wait_for_url(f"**{view.taken.session}#download", timeout=WAIT)
        await expect(view.page.locator(".jp-mod-dirty")).to_have_count(0, timeout=WAIT)
        async with context.expect_page() as opening:
            await view.menu("Start Fresh")
        await (await opening.value).wait_for_url(f"**{view.taken.session}#fresh", timeout=WAIT)


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_log_out_leads_to_the_page_beside_it_and_shut_down_to_the_end(
    browser: Browser, path: str
) -> None:
    async with one(browser, path) as view:
        await view.write("# not saved yet")
        await view.file_menu("Log Out")
        await view.page.wait_for_url(f"**{view.taken.session}", timeout=WAIT)
        again = await open_view(view.page.context, view.taken)
        await expect(again.page.locator(".jp-CodeCell").last).to_contain_text(
            "# not saved yet", timeout=WAIT
        )
        await again.write("# lost with the rest")
        await again.file_menu("Shut Down")
        await again.page.locator(".jp-Dialog").get_by_role("button", name="Stop It").click()
        heading = again.page.get_by_role("heading", level=1)
        await expect(heading).to_contain_text("notebook", timeout=WAIT)
        await expect(again.page.locator("main")).to_contain_text("Its user stopped it")
        await view.taken.until_gone()


async def test_rescued_notebook_is_told_of_and_takes_what_is_saved(browser: Browser) -> None:
    async with one(browser, VIEWS["notebook"]) as view:
        await view.write("# to be rescued")
        await view.taken.end()
        hint = view.page.locator(view.hint)
        await expect(hint).to_contain_text("This notebook has ended", timeout=WAIT)
        again = await view.page.context.new_page()
        service, taken = view.taken.service, view.taken
        await again.goto(f"{service.url}/user/{taken.id}/tree?token={taken.token}")
        await again.get_by_role("button", name="Reopen at the same address").click(timeout=WAIT)
        await again.wait_for_url(f"**/user/{taken.id}/tree*", timeout=WAIT)
        await expect(hint).to_contain_text("is open again", timeout=WAIT)
        await view.page.bring_to_front()
        await view.page.locator(".jp-CodeCell .cm-content").last.click()
        await view.page.keyboard.press("Control+s")
        await expect(view.page.locator(".jp-mod-dirty")).to_have_count(0, timeout=WAIT)
        await again.bring_to_front()
        await expect(again.locator(".jp-DirListing-item", has_text="x.ipynb")).to_be_visible(
            timeout=WAIT
        )


@asynccontextmanager
async def without_a_kernel(
    browser: Browser, path: str
) -> AsyncIterator[tuple[Page, asyncio.Event]]:
    """Open a notebook whose kernel starts with the event, with its first cell selected."""
    started = asyncio.Event()

    async def hold(route: Route) -> None:
        if route.request.method == "POST":
            await started.wait()
        await route.continue_()

    async with local_service("--pool-size=1") as service:
        await service.until_ready(1)
        context = await browser.new_context()
        tell_failures(context)
        page = await context.new_page()
        await page.route("**/api/sessions**", hold)
        await page.goto(await service.take(path))
        await expect(page.get_by_role("menuitem", name="Temporary")).to_be_visible(timeout=WAIT)
        await page.locator(".jp-CodeCell .cm-content").first.click(timeout=WAIT)
        await page.keyboard.press("Escape")
        yield page, started
        await context.close()


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_cells_that_are_run_before_the_kernel_is_there_wait_for_it(
    browser: Browser, path: str
) -> None:
    async with without_a_kernel(browser, path) as (page, started):
        for key in ("b", "k", "Shift+Enter", "Shift+Enter"):  # a cell below; both are run
            await page.keyboard.press(key)
        output = page.locator(".jp-OutputArea-output")
        await expect(output).to_have_count(0)
        started.set()
        await expect(output.first).to_contain_text("RESULT 42", timeout=WAIT)
        # The last run has added one, as at any time.
        await expect(page.locator(".jp-CodeCell")).to_have_count(3)


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_what_waits_for_the_kernel_runs_nowhere_else(browser: Browser, path: str) -> None:
    async with without_a_kernel(browser, path) as (page, started):
        for key in ("b", "Shift+Enter", "k"):  # run an empty cell below, and go up again
            await page.keyboard.press(key)
        async with page.expect_websocket(is_of_a_kernel, timeout=WAIT):
            started.set()
        cell = page.locator(".jp-CodeCell .cm-content").nth(1)
        await cell.fill("print('here')", timeout=WAIT)  # at once: a page that is busy loses keys
        await cell.press("Control+Enter")
        output = page.locator(".jp-OutputArea-output")
        await expect(output.last).to_contain_text("here", timeout=WAIT)
        await expect(output).to_have_count(1)


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_theme_follows_the_system(browser: Browser, path: str) -> None:
    async with one(browser, path) as view:
        body = view.page.locator("body")
        for scheme, is_light in (("dark", "false"), ("light", "true")):
            await view.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a literal
            await expect(body).to_have_attribute("data-jp-theme-light", is_light, timeout=WAIT)
