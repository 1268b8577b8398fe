"""Chromium for the tests: cut off from every other machine, and watched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    async_playwright,
    expect,
)

from tests.support import evidence, requirements

ARGS = (
    "--no-sandbox",  # which does not start for root or inside containers; the pages are ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Names under .test are this machine, so that tests have several sites; no other name exists.
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

# Of all that is expected of a page without a deadline of its own: other tests compute beside us.
expect.set_options(timeout=30_000)

STEADY = Path(__file__).with_name("steady_chromium.py")


def program(path: str) -> dict[str, Any]:
    """Return how Playwright starts a browser: undisturbed by containers that come and go."""
    return {"executable_path": STEADY, "env": {**os.environ, "TMPNB_CHROMIUM": path}}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run a Chromium with an empty profile, without a window."""
    started = program(requirements.headless_shell())
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(args=list(ARGS), **started)
        browser.on("context", tell_failures)
        try:
            yield browser
        except (Exception, asyncio.CancelledError, pytest.fail.Exception):
            await evidence.take_pictures()  # while there is something to be seen
            raise
        finally:
            await browser.close()


@dataclass
class Watch:
    """What the pages of one context asked for and complained about."""

    requests: list[tuple[str, str]] = field(default_factory=list)  # method, URL
    complaints: list[str] = field(default_factory=list)  # console errors, uncaught exceptions

    def posts(self) -> list[str]:
        """Return the URLs that were posted to."""
        return [url for method, url in self.requests if method == "POST"]

    def foreign(self, *own: str) -> list[str]:
        """Return the requests that went to none of these origins."""
        return [url for _, url in self.requests if not url.startswith(tuple(f"{o}/" for o in own))]


def watch(context: BrowserContext) -> Watch:
    """Start to watch every page of `context`."""
    seen = Watch()

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            seen.complaints.append(f"{message.type}: {message.text}")

    context.on("request", lambda request: seen.requests.append((request.method, request.url)))
    context.on("console", hear)
    context.on("weberror", lambda error: seen.complaints.append(str(error.error)))
    return seen


def tell_failures(context: BrowserContext) -> None:
    """Have what pages of `context` say and look like shown beside a test that fails.

    That is done already for every context of `chromium`.
    """
    if not evidence.opened(context):
        return

    def tell(line: str) -> None:
        evidence.note("browser: console, errors and what was not loaded", line)

    def tell_status(response: Response) -> None:
        if response.status >= 400:
            tell(f"status {response.status}: {response.url}")

    context.on("close", evidence.closed)
    context.on("console", lambda message: tell(f"console {message.type}: {message.text}"))
    context.on("weberror", lambda error: tell(f"uncaught: {error.error}"))
    context.on("requestfailed", lambda asked: tell(f"not loaded: {asked.url} {asked.failure}"))
    context.on("response", tell_status)


async def stop_clock(page: Page) -> None:
    """Let time pass for the page only by `fast_forward` and `run_for`; call it before `goto`."""
    await page.clock.install(time=0)
    await page.clock.pause_at(1_000)


async def axe_violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong with the page, of any impact, one line each."""
    await page.evaluate(requirements.axe().read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']} ({violation['impact']}): {node['html']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


async def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than its window."""
    return bool(
        await page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
    )
