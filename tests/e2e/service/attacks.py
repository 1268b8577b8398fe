"""What a page with ill intent tries against somebody else's notebook, in a real browser.

`TRY` is the script of such a page: it may stand in a file that a notebook server serves, in
the output of a cell, or in a page of another site. It tells what it got in the page's own
document, where `told` reads it. A test says who the victim is and what must have come of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from playwright.async_api import BrowserContext, Page
from tornado.httpclient import HTTPResponse

from tests.e2e.browser.embed_world import Sites

WAIT = 60_000  # milliseconds until a page shows what it should

# Each attempt ends with one word: what it got, the status that refused it, or `failed`.
TRY = """
async function tries({ origin, base, kernel, id, worker }) {
    const at = (path) => `${origin}${path}`;
    const within = (promise) => Promise.race([
        promise.catch((error) => (error.name === 'TypeError' ? 'failed' : error.name)),
        new Promise((done) => setTimeout(done, 15000, 'nothing')),
    ]);
    const ask = (path, how = {}) => fetch(at(path), { credentials: 'include', ...how });
    const word = (answer) => (answer.ok ? 'read' : String(answer.status));
    const token = (html) => /"token": "([^"]{20,})"/.exec(html) ? 'token' : 'none';
    const frame = document.createElement('iframe');
    frame.src = at(`${base}lab`);
    const loaded = new Promise((done) => { frame.onload = done; });
    document.documentElement.append(frame);
    await within(loaded);
    const inside = async () => {
        const page = frame.contentDocument;
        if (!page) return 'unreadable';
        return token(page.documentElement.innerHTML);
    };
    const xsrf = () => {
        try {
            return /_xsrf=([^;]+)/.exec(frame.contentDocument.cookie)[1];
        } catch {
            return '';
        }
    };
    const socket = () => new Promise((done) => {
        const url = at(`${base}api/kernels/${kernel}/channels`).replace(/^http/, 'ws');
        const opened = new WebSocket(url);
        opened.onopen = () => { opened.close(); done('open'); };
        opened.onerror = () => done('refused');
    });
    const cookies = async () => {
        try {
            return document.cookie.includes(id) ? 'victim' : 'none';
        } catch (error) {
            return error.name;
        }
    };
    const stored = async () => {
        try {
            return JSON.stringify({ ...localStorage }).includes(id) ? 'victim' : 'none';
        } catch (error) {
            return error.name;
        }
    };
    const work = async () => {
        if (!navigator.serviceWorker) return 'none';
        const made = await navigator.serviceWorker.register(at(worker), { scope: '/' });
        await made.unregister();
        return 'registered';
    };
    const json = { headers: { Accept: 'application/json' } };
    const plain = { method: 'POST', mode: 'no-cors' };
    const got = {
        contents: await within(ask(`${base}api/contents`).then(word)),
        page: await within(ask(`${base}lab`).then((a) => a.text()).then(token)),
        frame: await within(inside()),
        cookies: await within(cookies()),
        storage: await within(stored()),
        socket: await within(socket()),
        kernel: await within(ask(`${base}api/kernels`, {
            method: 'POST', body: '{}', headers: xsrf() ? { 'X-XSRFToken': xsrf() } : {},
        }).then(word)),
        worker: await within(work()),
        extend: await within(ask(`/api/servers/${id}/extend`, { method: 'POST' }).then(word)),
        stop: await within(ask(`/api/servers/${id}`, { method: 'DELETE' }).then(word)),
        session: await within(ask(`/session/${id}`).then(word)),
        launch: await within(ask('/spawn', { method: 'POST', ...json }).then(async (answer) => (
            answer.ok && (await answer.json()).url.includes(id) ? 'victim' : word(answer)
        ))),
    };
    for (const path of [`${base}api/kernels`, '/spawn', '/api/spawn', `/session/${id}`]) {
        await within(fetch(at(path), { credentials: 'include', ...plain, body: 'do=stop' }));
    }
    frame.remove();
    return got;
}
tries(VICTIM).then((got) => { document.documentElement.dataset.got = JSON.stringify(got); });
"""
# A cell of a notebook can run it by `import attack; attack.on("…")`.
MODULE = """
from IPython.display import Javascript

def on(victim):
    return Javascript("(() => {" + open("attack.js").read() + "})()")
"""


@dataclass(frozen=True)
class Notebook:
    """A server that was taken, seen by the one who has its token."""

    sites: Sites
    id: str
    token: str

    @property
    def base(self) -> str:
        """Its path."""
        return f"/user/{self.id}/"

    def url(self, path: str) -> str:
        """Return the address of one of its pages, as its visitor opens it."""
        return f"{self.sites.site}{self.base}{path}?token={self.token}"

    async def ask(self, path: str, body: Any = None, method: str = "GET") -> HTTPResponse:
        """Ask its API with its token, beside the proxy's certificate."""
        routes = await self.sites.service.routes()
        target = routes[self.base.rstrip("/")]["target"]
        return await self.sites.service.client.fetch(
            f"{target.rstrip('/')}{self.base}{path}",
            timeout=30,
            method=method,
            headers={"Authorization": f"token {self.token}"},
            body=None if body is None else json.dumps(body),
        )

    async def kernels(self) -> list[str]:
        """Return the ids of its kernels."""
        return [k["id"] for k in json.loads((await self.ask("api/kernels")).body)]

    async def start_kernel(self) -> str:
        """Start a kernel; return its id."""
        answer = await self.ask("api/kernels", {}, "POST")
        return cast("str", json.loads(answer.body)["id"])

    async def write(self, name: str, text: str) -> None:
        """Put a file into its directory."""
        file = {"type": "file", "format": "text", "content": text}
        answer = await self.ask(f"api/contents/{name}", file, "PUT")
        assert answer.code in (200, 201), answer.body


async def open_in(context: BrowserContext, notebook: Notebook) -> Page:
    """Open a notebook's page as its visitor does, so that its cookies are there."""
    page = await context.new_page()
    answer = await page.goto(notebook.url("lab"))
    assert answer is not None
    assert answer.status == 200
    return page


def script(victim: Notebook, kernel: str, *, worker: str = "/sw.js") -> str:
    """Return the script that tries everything against `victim`, one of whose kernels is known.

    Args:
        victim: Whose path is known; the script has no token of it.
        kernel: Of the victim, running.
        worker: Path of a script that the attacker would have between browser and victim.
    """
    known = {
        "origin": victim.sites.site,
        "base": victim.base,
        "kernel": kernel,
        "id": victim.id,
        "worker": worker,
    }
    return TRY.replace("VICTIM", json.dumps(known))


async def arm(attacker: Notebook, script: str) -> None:
    """Put the script on the attacker's server: as a page, as a module, and a worker."""
    await attacker.write("attack.html", f"<!doctype html><title>x</title><script>{script}</script>")
    await attacker.write("attack.js", script)
    await attacker.write("attack.py", MODULE)
    await attacker.write("sw.js", "self.onfetch = () => {};")


async def told(page: Page) -> dict[str, str]:
    """Return what the script in a page got, once it has tried everything."""
    got = page.locator("html[data-got]")
    await got.wait_for(state="attached", timeout=3 * WAIT)
    return dict(json.loads(await got.get_attribute("data-got") or ""))
