"""The page beside a notebook and the end of one, with the real thing in a real browser."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import Browser, Frame, Page, expect

from tests.e2e.browser.browser import tell_failures
from tests.e2e.browser.embed_world import BLOCKED, embedding_world, frame_of
from tests.e2e.browser.test_notebook import HOME, WAIT, local_service, run_in_last_cell
from tests.e2e.running_service import Service, serving

pytestmark = [pytest.mark.browser, pytest.mark.chp, pytest.mark.gen_test(timeout=240)]


class Taken:
    """A server that was taken, and its API."""

    def __init__(self, service: Service, url: str) -> None:
        self.service, self.url = service, url
        self.id = url.split("/")[4]
        self.token = url.rpartition("token=")[2]
        self.session = f"/session/{self.id}"
        self._headers = {"Authorization": f"token {self.token}"}

    async def idle_at(self) -> float:
        answer = await self.service.fetch(f"/api/servers/{self.id}", headers=self._headers)
        return float(json.loads(answer.body)["idle_at"])

    async def write(self, path: str, text: str) -> None:
        answer = await self.service.fetch(
            f"/user/{self.id}/api/contents/{path}",
            method="PUT",
            headers=self._headers,
            body=json.dumps({"type": "file", "format": "text", "content": text}),
        )
        assert answer.code == 201

    async def end(self) -> None:
        address = f"/api/servers/{self.id}"
        answer = await self.service.fetch(address, method="DELETE", headers=self._headers)
        assert answer.code == 204
        await self.until_gone()

    async def until_gone(self) -> None:
        await self.service.until(lambda s: not s["claimed"] and not s["stopping"], "it is gone")


async def keep(page: Page | Frame) -> None:
    await page.get_by_role("button", name="Keep it").click()
    await expect(page.get_by_role("status")).to_contain_text("It is kept until", timeout=WAIT)


async def stop(page: Page | Frame) -> None:
    sure = page.get_by_role("button", name="Stop it and delete my files")
    await expect(sure).to_be_hidden()
    await page.get_by_text("Stop now").click()
    await sure.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile("is being stopped|has ended"), timeout=WAIT
    )


@pytest.mark.local
async def test_from_the_hint_to_the_files_and_to_the_end(browser: Browser, tmp_path: Path) -> None:
    async with local_service("--pool-size=1") as service:
        await service.until_ready(1)
        taken = Taken(service, await service.take("/notebooks/x.ipynb"))
        context = await browser.new_context()
        tell_failures(context)
        notebook = await context.new_page()
        await notebook.goto(taken.url)
        await taken.write("Gr%C3%B6%C3%9Fe%201.txt", "drei Äpfel")
        sign = notebook.locator("tmpnb-hint").get_by_role("link", name="Temporary")
        async with context.expect_page() as opened:
            await sign.click(timeout=WAIT)
        page = await opened.value
        await page.wait_for_url(f"{service.url}{taken.session}", timeout=WAIT)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("left")
        assert "token" not in await page.evaluate("document.referrer + location.href")

        async with page.expect_download() as downloading:
            await page.get_by_role("button", name="Download all my files").click()
        file = tmp_path / "files.zip"
        await (await downloading.value).save_as(file)
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            assert archive.read("notebook-files/Größe 1.txt").decode() == "drei Äpfel"
            assert archive.read("notebook-files/x.ipynb") == (HOME / "x.ipynb").read_bytes()

        before = await taken.idle_at()
        await keep(page)
        assert await taken.idle_at() > before
        back = page.get_by_role("link", name="Back to the notebook")
        await expect(back).to_have_attribute("href", f"/user/{taken.id}/?token={taken.token}")

        await stop(page)
        await taken.until_gone()
        await page.goto(f"{service.url}/user/{taken.id}/notebooks/x.ipynb")
        await expect(page.locator("main")).to_contain_text("Its user stopped it.")
        again = page.locator("form[action='/spawn/notebooks/x.ipynb']")
        await expect(again.get_by_role("button")).to_have_text("Start a new notebook")
        assert taken.token not in service.log.read_text()
        await context.close()


async def test_link_to_the_download_leads_to_its_button(browser: Browser) -> None:
    async with serving("--pool-size=1", "--spawner=fake") as service:
        await service.until_ready(1)
        taken = Taken(service, await service.take())
        page = await browser.new_page()
        await page.goto(f"{service.url}{taken.session}?token={taken.token}#download")
        await page.wait_for_url(f"{service.url}{taken.session}#download")
        button = page.get_by_role("button", name="Download all my files")
        await expect(button).to_be_focused()


async def test_page_works_without_scripts(browser: Browser) -> None:
    async with serving("--pool-size=1", "--spawner=fake") as service:
        await service.until_ready(1)
        taken = Taken(service, await service.take())
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(f"{service.url}{taken.session}?token={taken.token}")
        assert page.url == service.url + taken.session
        await expect(page.get_by_role("heading", level=1)).to_have_text(
            re.compile("^(60|59) minutes left$")
        )
        await expect(page.locator("main")).to_contain_text("UTC")
        await keep(page)
        await stop(page)
        await taken.until_gone()
        await context.close()


async def test_open_page_tells_of_the_end(browser: Browser) -> None:
    async with serving("--pool-size=1", "--spawner=fake") as service:
        await service.until_ready(1)
        taken = Taken(service, await service.take())
        page = await browser.new_page()
        await page.clock.install()
        await page.goto(f"{service.url}{taken.session}?token={taken.token}")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("minutes left")
        await taken.end()
        await page.clock.fast_forward(120_000)
        heading = page.get_by_role("heading", level=1)
        await expect(heading).to_have_text("This notebook has ended", timeout=WAIT)
        await expect(page.get_by_role("status")).to_contain_text("Its user stopped it")
        await expect(page.get_by_role("button")).to_have_count(0)


async def test_page_works_in_a_foreign_frame_that_keeps_no_cookie() -> None:
    flags = ("--pool-size=1", "--spawner=fake")
    async with embedding_world(*flags, cookies=BLOCKED) as world:
        await world.service.until_ready(1)
        taken = Taken(world.service, await world.service.take())
        address = f"{world.site}{taken.session}?token={taken.token}"
        page = await world.read(f'<iframe title="t" width="900" src="{address}"></iframe>')
        frame = frame_of(page)
        await expect(frame.get_by_role("heading", level=1)).to_contain_text("minutes left")
        assert "token" not in frame.url
        await keep(frame)
        async with page.expect_download() as downloading:
            await frame.get_by_role("button", name="Download all my files").click()
        assert (await downloading.value).suggested_filename == "notebook-files.zip"
        await stop(frame)
        await taken.until_gone()


@pytest.mark.local
@pytest.mark.parametrize("path", ["/lab/tree/x.ipynb", "/notebooks/x.ipynb"])
async def test_save_after_the_end_is_answered_in_a_dialog(browser: Browser, path: str) -> None:
    async with local_service("--pool-size=1") as service:
        await service.until_ready(1)
        taken = Taken(service, await service.take(path))
        context = await browser.new_context()
        tell_failures(context)
        page = await context.new_page()
        await page.goto(taken.url)
        await run_in_last_cell(page, page, "6*7")
        await expect(page.locator(".jp-OutputArea-output").last).to_have_text("42", timeout=WAIT)
        await taken.end()
        sign = page.locator("tmpnb-hint section")
        await expect(sign).to_contain_text("This notebook has ended", timeout=WAIT)
        await page.locator(".jp-CodeCell .cm-content").last.click(timeout=WAIT)
        await page.keyboard.type("# work that shall not be lost in silence")
        await page.keyboard.press("Control+s")
        dialog = page.locator(".jp-Dialog", has_text="Its user stopped it")
        await expect(dialog).to_be_visible(timeout=WAIT)
        ended = re.compile("This notebook server (has ended at|is being stopped)")
        await expect(dialog).to_contain_text(ended)
        await expect(dialog).to_contain_text("Save")
        await context.close()
