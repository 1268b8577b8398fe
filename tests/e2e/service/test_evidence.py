"""What tests with real parts leave: what is needed to understand a failure, and nothing else."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.e2e.running_service import RunningProxy, Service, free_ports
from tests.project.test_evidence import SECRET, run, shown
from tests.support import evidence

PAGES = """
import pytest
from tests.e2e.browser.browser import chromium
from tests.e2e.conftest import browser, browser_loop, browsers, io_loop

pytestmark = pytest.mark.gen_test(timeout=60)
PAGE = "<h1>A page</h1><script>console.error('a complaint'); throw Error('a mishap')</script>"


async def fail(browser):
    page = await browser.new_page()
    await page.route("**/*", lambda route: route.fulfill(status=404, body=PAGE))
    await page.goto("http://a.test/lost?token=" + 20 * "z")
    pytest.fail("it is another page")


async def test_of_a_fixture(browser):
    await fail(browser)


async def test_of_its_own():
    async with chromium() as its_own:
        await fail(its_own)
"""

SERVICE = """
import pytest
from tests.e2e.running_service import serving


@pytest.mark.gen_test(timeout=60)
async def test_with_a_service():
    async with serving("--spawner=fake", "--pool-size=1") as service:
        await service.until_ready(1)
        await service.take()
        pytest.fail("it is another service")
"""
TORNADO = ("-p", "pytest_tornado.plugin")


@pytest.mark.browser
@pytest.mark.parametrize("name", ["of_a_fixture", "of_its_own"])
def test_page_that_fails_leaves_its_picture_and_what_it_said(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "kept"
    printed = run(tmp_path, PAGES, *TORNADO, "-k", name, TMPNB_EVIDENCE=folder)
    said = shown(printed)
    [picture] = folder.iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert said[evidence.SCREENSHOTS].startswith(f"{picture} of http://a.test/lost?[redacted]")
    [words] = (lines for title, lines in said.items() if title.startswith("browser: console"))
    assert "status 404: http://a.test/lost?[redacted]" in words
    assert "console error: a complaint" in words
    assert "uncaught: a mishap" in words
    assert SECRET not in printed


@pytest.mark.chp
def test_service_that_is_gone_when_its_test_has_failed_has_left_its_words(tmp_path: Path) -> None:
    said = shown(run(tmp_path, SERVICE, *TORNADO, TMPDIR=tmp_path))
    [words] = (text for title, text in said.items() if title.startswith("orchestrator and its pr"))
    assert "claimed" in words
    assert list(tmp_path.glob("tmpnb-*")) == []


@pytest.mark.chp
@pytest.mark.gen_test(timeout=60)
async def test_words_of_a_proxy_outlive_it_and_its_log_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    proxy = RunningProxy(free_ports(1)[0])
    try:
        for life in (1, 2):
            await proxy.start()
            assert len(os.listdir(tmp_path)) == 1
            await proxy.kill()
            assert os.listdir(tmp_path) == []
            assert proxy.tail().count("Proxy API at") == life
    finally:
        await proxy.kill()


@pytest.mark.gen_test
async def test_directory_of_a_service_goes_with_it() -> None:
    service = Service()
    directory = service.state_dir
    assert directory.is_dir()
    service.client.close()
    del service
    assert not directory.exists()
