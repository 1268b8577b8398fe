"""Servers with host names of their own, in a real browser: they work, and keep visitors apart."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any, cast

import pytest
from playwright.async_api import Browser, Page, expect
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop

from tests.e2e.browser.browser import tell_failures
from tests.e2e.browser.embed_world import World, Worlds, frame_of, shared
from tests.e2e.browser.test_notebook import (
    HOME,
    WAIT,
    docker_service,
    local_service,
    run_in_last_cell,
)
from tests.e2e.running_service import RunningProxy, Service

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chp,
    pytest.mark.xdist_group("subdomains"),
    pytest.mark.gen_test(timeout=240),
]

DOMAIN = "notebooks.test"


@pytest.fixture(scope="module")
def worlds(browser_loop: IOLoop) -> Iterator[Worlds]:
    """Yield a service at tmp.test, with https, and articles that may frame its notebooks."""
    flags = (
        "--spawner=local",
        f"--notebook-dir={HOME}",
        f"--pool-name=apart-{os.getpid()}",
        "--pool-size=3",
        "--subdomains=tmp.test",
    )
    yield from shared(browser_loop, *flags)


def at_own_host(base_url: str) -> str:
    """Return the origin of a server's base URL, once its host is seen to be its own."""
    scheme, _, host, _, server_id, _ = base_url.split("/")
    assert host.startswith(f"{server_id}.")
    return f"{scheme}//{host}"


@pytest.mark.local
async def test_visitor_works_at_the_host_of_the_server_and_is_told_there_when_it_ended(
    browser: Browser,
) -> None:
    async with local_service("--pool-size=1", f"--subdomains={DOMAIN}") as service:
        await service.until_ready(1)
        main = f"http://{DOMAIN}:{service.visitors}"
        context = await browser.new_context()
        tell_failures(context)
        page = await context.new_page()
        await page.goto(f"{main}/notebooks/x.ipynb")
        await page.wait_for_url(f"http://*.{DOMAIN}:{service.visitors}/user/*/notebooks/x.ipynb*")
        notebook = page.url.partition("?")[0]
        origin = at_own_host(notebook.partition("notebooks/x")[0])
        await run_in_last_cell(page, page, "6*7; open('made.txt', 'w').write('by a cell'); 6*7")
        await expect(page.locator(".jp-OutputArea-output").last).to_have_text("42", timeout=WAIT)
        assert "token" not in page.url

        async with page.expect_response(lambda r: r.request.method == "PUT") as saving:
            await page.keyboard.press("Control+s")
        assert (await saving.value).ok

        async with context.expect_page() as opened:
            await (
                page.locator("tmpnb-hint").get_by_role("link", name="Temporary").click(timeout=WAIT)
            )
        session = await opened.value
        await session.wait_for_url(f"{main}/session/*", timeout=WAIT)
        async with session.expect_download() as downloading:
            await session.get_by_role("button", name="Download all my files").click()
        assert (await downloading.value).suggested_filename == "notebook-files.zip"
        back = session.get_by_role("link", name="Back to the notebook")
        assert str(await back.get_attribute("href")).startswith(f"{origin}/user/")
        # Who comes to our own address again has one server.
        again = await context.new_page()
        await again.goto(f"{main}/notebooks/x.ipynb")
        await again.wait_for_url(f"{origin}/user/**")
        assert (await service.numbers())["claims_total"] == 1
        await again.close()

        await session.get_by_text("Stop now").click()
        await session.get_by_role("button", name="Stop it and delete my files").click()
        await service.until(lambda s: not s["claimed"] and not s["stopping"], "it is gone")
        assert list(await service.routes()) == ["/"]
        await page.goto(notebook)
        await expect(page.get_by_role("heading", level=1)).to_have_text("This notebook has ended")
        await expect(page.locator("main")).to_contain_text("Its user stopped it.")
        await service.until_ready(1)  # which makes place
        await page.get_by_role("button", name="Reopen at the same address").click()
        await page.wait_for_url(f"{origin}/user/**", timeout=WAIT)
        await context.close()


@pytest.mark.local
async def test_notebook_at_its_own_host_runs_in_an_article_of_another_site(
    worlds: Worlds,
) -> None:
    world = await worlds.get(https=True)
    page = await world.read(world.embedding("notebooks/x.ipynb").button())
    await page.get_by_role("button", name="Launch").click()
    frame = page.frame_locator("iframe")
    await run_in_last_cell(frame, page, "6*7")
    await expect(frame.locator(".jp-OutputArea-output").last).to_have_text("42", timeout=WAIT)
    where = frame_of(page).url
    at_own_host("/".join(where.split("/")[:5]) + "/")
    # The article finds it again after a reload.
    await page.reload()
    await expect(frame.locator(".jp-Notebook")).to_be_visible(timeout=WAIT)
    assert frame_of(page).url.startswith("/".join(where.split("/")[:5]))
    assert await world.claims() == 1


ATTEMPTS = """async ({ base, kernel, xsrf }) => {
    const within = (start) => new Promise((resolve) => {
        start(resolve);
        setTimeout(() => resolve('nothing happened'), 15_000);
    });
    const secret = `_xsrf=${encodeURIComponent(xsrf)}`;
    const send = { method: 'POST', credentials: 'include', body: '{}' };
    return {
        reads: await fetch(`${base}api/contents`, { credentials: 'include' })
            .then(async (answer) => Array.isArray((await answer.json()).content), () => false),
        starts: await fetch(`${base}api/kernels?${secret}`, { ...send, mode: 'no-cors' })
            .then((answer) => answer.status, () => 'refused'),
        loads: await within((done) => Object.assign(new Image(), {
            onload: () => done(true), onerror: () => done(false),
            src: `${base}files/pixel.png?${secret}`,
        })),
        opens: await within((done) => Object.assign(
            new WebSocket(`${base.replace('http', 'ws')}api/kernels/${kernel}/channels`),
            { onopen: () => done(true), onerror: () => done(false) },
        )),
        frames: await within((done) => document.body.append(Object.assign(
            document.createElement('iframe'), {
                onload: ({ target }) => {
                    try { done(target.contentDocument.location.href.startsWith(base)); }
                    catch { done(false); }
                },
                src: `${base}api/status`,
            },
        ))),
    };
}"""


class Owned:
    """A server that a visitor has, with a kernel and a picture, and open in a tab."""

    def __init__(self, world: World, taken: dict[str, Any]) -> None:
        self.world, self.taken = world, taken
        self.base = str(taken["base_url"])
        self.page: Page | None = None
        self.kernel = ""

    async def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Ask it without a browser, with its token."""
        answer = await AsyncHTTPClient().fetch(
            f"https://127.0.0.1:{self.world.service.visitors}{path_of(self.base)}{path}",
            request_timeout=20,
            method=method,
            headers={
                "Host": self.base.split("/")[2],
                "Authorization": f"token {self.taken['token']}",
            },
            body=None if body is None else json.dumps(body),
            validate_cert=False,
        )
        return json.loads(answer.body)

    async def open(self) -> None:
        """Let the visitor come, so that the browser has its cookies."""
        self.kernel = (await self.ask("api/kernels", "POST", {}))["id"]
        picture = {"type": "file", "format": "base64", "content": PIXEL}
        await self.ask("api/contents/pixel.png", "PUT", picture)
        self.page = await self.world.context.new_page()
        await self.page.goto(f"{self.base}tree?token={self.taken['token']}")

    async def kernels(self) -> int:
        return len(await self.ask("api/kernels"))


PIXEL = "R0lGODlhAQABAAAAACwAAAAAAQABAAA="  # a picture of one transparent point


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


async def attempt(page: Page, victim: Owned, xsrf: str) -> dict[str, Any]:
    """Try from a page what its script may do to a server."""
    known = {"base": victim.base, "kernel": victim.kernel, "xsrf": xsrf}
    return cast("dict[str, Any]", await page.evaluate(ATTEMPTS, known))


@pytest.mark.local
async def test_a_notebook_of_one_visitor_can_do_nothing_to_the_server_of_another(
    worlds: Worlds,
) -> None:
    world = await worlds.get(https=True)
    await world.service.until(lambda s: s["available"] >= 2, "two servers")
    victim, attacker = Owned(world, await world.take()), Owned(world, await world.take())
    await victim.open()
    await attacker.open()
    assert victim.page is not None
    assert attacker.page is not None

    # What follows would succeed if it were let: the victim's own page may do all of it.
    cookies = await victim.page.evaluate("document.cookie")
    own = dict(c.strip().split("=", 1) for c in cookies.split(";"))["_xsrf"]
    before = await victim.kernels()
    assert await attempt(victim.page, victim, own) == {
        "reads": True,
        "starts": 201,
        "loads": True,
        "opens": True,
        "frames": True,
    }
    assert await victim.kernels() == before + 1

    # The attacker knows all but the token, and sets a cookie for the victim's host.
    tossed = "tossed"
    await attacker.page.evaluate(
        """([path, value]) => {
            document.cookie = `_xsrf=${value}; Domain=tmp.test; Path=${path}; Secure`;
            document.cookie = `_xsrf=${value}; Domain=tmp.test; Path=/; Secure`;
        }""",
        [path_of(victim.base), tossed],
    )
    before = await victim.kernels()
    tried = await attempt(attacker.page, victim, tossed)
    del tried["starts"]  # such an answer has no status that a script may see
    assert tried == {"reads": False, "loads": False, "opens": False, "frames": False}
    assert await victim.kernels() == before
    assert own not in await attacker.page.evaluate("document.cookie")

    # A worker of the attacker's can stand before its own host only.
    script = {"type": "file", "format": "text", "content": "onfetch = () => {}"}
    await attacker.ask("api/contents/sw.js", "PUT", script)
    register = """([script, scope]) => navigator.serviceWorker.register(script, { scope })
        .then(() => true, (error) => error.name)"""
    worker = f"{attacker.base}files/sw.js"
    assert await attacker.page.evaluate(register, [worker, f"{attacker.base}files/"]) is True
    for scope in (f"{at_own_host(victim.base)}/", f"{world.site}/"):
        assert await attacker.page.evaluate(register, [worker, scope]) == "SecurityError"
    workers = "navigator.serviceWorker.getRegistrations().then((all) => all.length)"
    assert await victim.page.evaluate(workers) == 0

    # Nor can it have our own pages take or end a server in the visitor's name.
    claims = await world.claims()
    posted = """(url) => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include' })
        .then(() => 'sent', () => 'refused')"""
    # Our own host's answer is kept from pages of other hosts, so it looks as if it was refused.
    assert await attacker.page.evaluate(posted, f"{world.site}/spawn") == "refused"
    assert await attacker.page.evaluate(posted, f"{at_own_host(attacker.base)}/spawn") == "sent"
    assert await world.claims() == claims


@pytest.mark.local
async def test_claims_outlive_a_restart_behind_a_proxy_of_the_operator() -> None:
    service = Service(
        "--spawner=local",
        f"--notebook-dir={HOME}",
        "--pool-size=1",
        f"--pool-name=hosts-{os.getpid()}",
        f"--subdomains={DOMAIN}",
    )
    proxy = RunningProxy(service.port, None, "--host-routing")
    service.add_environment(proxy.env)
    try:
        await proxy.start()
        await service.start()
        await service.until_ready(1)
        url = f"{service.own_url}/api/spawn"
        answer = await service.client.fetch(
            url, timeout=20, method="POST", headers={"Host": f"{DOMAIN}:{proxy.port}"}
        )
        taken = json.loads(answer.body)
        host, path = f"{taken['id']}.{DOMAIN}:{proxy.port}", path_of(taken["url"])
        assert taken["url"].startswith(f"http://{host}/user/{taken['id']}/")
        assert list(await proxy.routes()) == ["/", f"/{taken['id']}.{DOMAIN}/user/{taken['id']}"]

        async def status() -> int:
            where = f"http://127.0.0.1:{proxy.port}{path.replace('?', 'api/status?')}"
            return (await service.client.fetch(where, timeout=20, headers={"Host": host})).code

        assert await status() == 200
        await service.stop(signal.SIGKILL)
        await proxy.kill()  # with all its routes
        await proxy.start()
        await service.start()
        await service.until(lambda s: s["claimed"] == 1, "it is adopted")
        async with asyncio.timeout(60):
            while await status() != 200:
                await asyncio.sleep(0.1)
        service.flags += ("--stop-servers-on-exit",)
        await service.stop(signal.SIGKILL)
        await service.start()
        await service.until(lambda s: s["claimed"] == 1, "it is adopted again")
        await service.stop()
        assert list(await proxy.routes()) == ["/"]
    finally:
        await service.stop(signal.SIGKILL)
        await proxy.kill()
        service.client.close()
        shutil.rmtree(service.state_dir)


@pytest.mark.docker
async def test_servers_in_containers_take_no_cookies_from_pages_of_other_hosts() -> None:
    async with docker_service("--pool-size=1", f"--subdomains={DOMAIN}") as service:
        await service.until_ready(1)
        taken = json.loads(
            (await service.fetch("/api/spawn", method="POST", headers={"Host": DOMAIN})).body
        )
        host, path = f"{taken['id']}.{DOMAIN}", path_of(taken["base_url"])

        async def look(at: str, **headers: str) -> Any:
            return await service.fetch(f"{path}{at}", headers={"Host": host, **headers})

        first = await look(f"tree?token={taken['token']}")
        cookie = "; ".join(c.partition(";")[0] for c in first.headers.get_list("Set-Cookie"))
        own = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
        assert (await look("api/contents", **own)).code == 200
        assert (await look("api/contents", **own | {"Sec-Fetch-Site": "same-site"})).code == 403
