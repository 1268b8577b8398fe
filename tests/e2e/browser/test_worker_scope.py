"""A worker that a notebook server leaves in a real browser stands before its own pages alone."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser

from tests.support.real_proxy import HOME, saying, world

pytestmark = [pytest.mark.browser, pytest.mark.chp, pytest.mark.gen_test(timeout=120)]

OTHER = "/user/other/lab"
REGISTER = """([script, scope]) => navigator.serviceWorker
    .register(script, scope ? { scope } : {})
    .then((made) => new URL(made.scope).pathname, (error) => error.name)"""
LEFT = """() => navigator.serviceWorker.getRegistrations()
    .then((all) => all.map((one) => new URL(one.scope).pathname))"""
SCRIPTS = (
    "/user/abc?w",
    "/user/abc",
    "/%75ser/abc",
    "/user/ab%63?w",
    "/user/./abc",
    "//x//user/abc",
    "/user/abc%2fsw.js",
    "/user%2fabc%2fsw.js",
    "/user/abc%5csw.js",
    "/user/abc/..;/sw.js",
    "/user/abc//sw.js",
    "/user/abc/x/%2e%2e/sw.js",
)


async def notebook(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer to a page with a page, and to anything else with a worker that may stand anywhere."""
    asked = (await reader.readuntil(b"\r\n\r\n")).split()[1]
    kind = "text/html" if asked.endswith(b"page") else "text/javascript"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nService-Worker-Allowed: /\r\n"
    writer.write(f"{head}Connection: close\r\n\r\nself.onfetch = () => {{}}".encode())
    writer.close()


async def test_no_script_of_a_server_has_a_worker_before_other_servers(browser: Browser) -> None:
    page_of_another = saying("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", "<title>x</title>")
    async with world(notebook, page_of_another) as served:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"http://127.0.0.1:{served.port}{HOME}page")
        for script in SCRIPTS:
            for scope in ("/user/", "/", OTHER):
                found = await page.evaluate(REGISTER, [script, scope])
                assert found in {"SecurityError", "TypeError"}, (script, scope)
        assert await page.evaluate(REGISTER, [f"{HOME}sw.js", ""]) == HOME
        await page.goto(f"http://127.0.0.1:{served.port}{OTHER}")
        assert await page.evaluate("() => navigator.serviceWorker.controller") is None
        assert await page.evaluate(LEFT) == [HOME]
        await context.close()
