"""Terms before a notebook, and answers for other origins, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Error, Frame, Page, expect

from tests.e2e.browser.embed_world import ALLOWED, BLOCKED, World, embedding_world, frame_of

FAKE = ("--spawner=fake", "--pool-size=3")
WAIT = 30_000  # milliseconds until a page shows what it should
AGREE = "I agree, start notebook"

pytestmark = [pytest.mark.browser, pytest.mark.chp, pytest.mark.gen_test(timeout=120)]


@pytest.fixture
def terms(tmp_path: Path) -> str:
    """Return the flag that sets terms of use."""
    file = tmp_path / "terms.txt"
    file.write_text("Be kind.")
    return f"--terms-file={file}"


async def in_notebook(frame: Frame | Page) -> str:
    """Return the server in whose notebook the frame is, as soon as it is there."""
    await frame.wait_for_url("**/user/**", timeout=WAIT)
    return frame.url.partition("/user/")[2].partition("/")[0]


async def launch(page: Page) -> Frame:
    await page.get_by_role("button", name="Launch: Live notebook").click()
    await expect(page.locator("iframe")).to_have_count(1)
    return frame_of(page)


@pytest.mark.parametrize("cookies", [ALLOWED, BLOCKED], ids=["allow", "block"])
async def test_terms_stand_before_a_notebook_in_an_article_and_a_reload_leads_back(
    terms: str, cookies: dict[str, object]
) -> None:
    async with embedding_world(*FAKE, terms, https=True, cookies=cookies) as world:
        await world.service.until_ready(3)
        page = await world.read(world.embedding("lab").button())
        frame = await launch(page)
        await expect(frame.get_by_text("Be kind.")).to_be_visible()
        assert await world.claims() == 0, "the article's button agrees to nothing"
        await frame.get_by_role("button", name=AGREE).click()
        server = await in_notebook(frame)
        await expect(page.locator("[data-tmpnb-state=ready]")).to_have_count(1)
        await page.reload()
        await expect(page.locator("iframe")).to_have_count(1)
        assert await in_notebook(frame_of(page)) == server
        assert await world.claims() == 1


async def test_who_has_agreed_is_not_asked_again(terms: str) -> None:
    async with embedding_world(*FAKE, terms) as world:
        await world.service.until_ready(3)
        page = await world.context.new_page()
        await page.goto(f"{world.site}/lab?x=1")
        await page.get_by_role("button", name=AGREE).click()
        server = await in_notebook(page)
        assert "/lab?x=1&token=" in page.url
        again = await world.context.new_page()
        await again.goto(f"{world.site}/tree")
        assert await in_notebook(again) == server


async def test_terms_work_without_scripts(terms: str) -> None:
    async with embedding_world(*FAKE, terms) as world:
        await world.service.until_ready(3)
        browser = world.context.browser
        assert browser is not None
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(f"{world.site}/lab")
        await page.get_by_role("button", name=AGREE).click()
        await in_notebook(page)
        await page.goto(f"{world.site}/lab")
        await expect(page.get_by_role("button", name="Start notebook")).to_be_visible()
        await context.close()


TAKE_AND_END = """
async (site) => {
  const headers = { Authorization: 'token unused', 'Content-Type': 'application/json' };
  const asked = { method: 'POST', headers, body: '{}' };
  const taken = await (await fetch(`${site}/api/spawn`, asked)).json();
  const own = { headers: { Authorization: `token ${taken.token}` } };
  const told = await (await fetch(`${site}/api/servers/${taken.id}`, own)).json();
  const ended = await fetch(`${site}/api/servers/${taken.id}`, { ...own, method: 'DELETE' });
  const gone = await fetch(`${site}/api/servers/${taken.id}`, own);
  const spec = await (await fetch(`${site}/api/openapi.json`)).json();
  return [told.phase, ended.status, (await gone.json()).error.code, spec.openapi];
}
"""


async def from_article(world: World) -> list[object]:
    page = await world.read("")
    return list(await page.evaluate(TAKE_AND_END, world.site))


async def test_page_of_another_origin_uses_the_api_with_one_flag() -> None:
    async with embedding_world(*FAKE, "--allow-origin=*", origin="https://elsewhere.test") as world:
        await world.service.until_ready(3)
        assert await from_article(world) == ["claimed", 204, "server_ended", "3.1.0"]


async def test_page_of_another_origin_uses_nothing_without_it() -> None:
    async with embedding_world(*FAKE, origin="https://elsewhere.test") as world:
        await world.service.until_ready(3)
        with pytest.raises(Error, match="Failed to fetch"):
            await from_article(world)
        assert await world.claims() == 0
