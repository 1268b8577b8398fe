"""What every server must do once it has started, checked on a live one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from tornado.httpclient import HTTPResponse

from tmpnb.errors import UnreachableError
from tmpnb.spawners.examination import ServerFacts
from tmpnb.spawners.finding import Finding, Level, fail, ok, skip, warn
from tmpnb.system import units
from tmpnb.system.http.client import Client

TIMEOUT = 10.0  # seconds for one answer
HOPS = 5  # redirects on the way to a page
CLOSED = (302, 401, 403)  # what a notebook server answers to those without its token
TOPICS = ("path", "access", "page", "user", "port", "idle")  # of these checks, in their order


@dataclass(frozen=True, slots=True)
class Visited:
    """A server that runs, and the key to it."""

    client: Client
    address: str  # http://host:port
    base_url: str
    token: str = field(repr=False)

    async def get(self, path: str, *, with_token: bool = False) -> HTTPResponse | None:
        """Return the answer at a path of the whole address; None if there is none."""
        headers = {"Authorization": f"token {self.token}"} if with_token else {}
        try:
            return await self.client.fetch(
                f"{self.address}{path}", timeout=TIMEOUT, headers=headers
            )
        except UnreachableError:
            return None

    async def status(self, path: str, *, with_token: bool = False) -> int | None:
        """Return the HTTP status at a path of the whole address; None if there is none."""
        answer = await self.get(path, with_token=with_token)
        return answer.code if answer else None


async def findings(
    server: Visited, redirect_uri: str, facts: ServerFacts
) -> AsyncGenerator[Finding, None]:
    """Yield a finding for each of `TOPICS`, and of the way out if something is wrong with it."""
    yield await path_finding(server)
    access = await access_finding(server)
    yield access
    if access.level is Level.FAIL:
        yield skip("page", "needs the server's token")
    else:
        yield await page_finding(server, redirect_uri)
    yield user_finding(facts)
    yield port_finding(facts)
    yield idle_finding(facts)
    if route := route_finding(facts):
        yield route


async def path_finding(server: Visited) -> Finding:
    """Say whether it answers under its base URL and nowhere else."""
    base_url = server.base_url
    status = await server.status(f"{base_url}api")
    if status != 200:
        return warn("path", f"GET {base_url}api is {_said(status)}: Jupyter answers 200 there")
    for path in ("/api", "/"):
        if await server.status(path) == 200:
            return fail(
                "path",
                f"it answers 200 at {path} too, and so does not keep to {base_url}",
                "hand {base_path} on in --command, as in --ServerApp.base_url={base_path}",
            )
    return ok("path", f"it answers under {base_url} and not at /")


async def access_finding(server: Visited) -> Finding:
    """Say whether its own token opens it, and nothing else."""
    path = f"{server.base_url}api/status"
    without, with_token = await server.status(path), await server.status(path, with_token=True)
    if without == 200:
        return fail(
            "access",
            f"GET {path} is HTTP 200 without a token: whoever finds it can use it",
            "let it ask for the token in JUPYTER_TOKEN, or hand {token} on in --command",
        )
    if without == with_token == 404:
        return warn("access", f"there is no {path}: idle is then what has no traffic")
    if with_token != 200 or without not in CLOSED:
        return fail(
            "access",
            f"GET {path} is {_said(without)} without its token and {_said(with_token)} with it",
            "let it take its token from JUPYTER_TOKEN alone, or hand {token} on in --command",
        )
    return ok("access", f"it asks for its token (HTTP {without} without)")


async def page_finding(server: Visited, redirect_uri: str) -> Finding:
    """Say whether the page is there that visitors land on."""
    first = path = f"{server.base_url.rstrip('/')}{redirect_uri}"
    mend = "name a page of this image with --redirect-uri, like /lab or /tree"
    for _ in range(HOPS):
        answer = await server.get(path, with_token=True)
        status = answer.code if answer else None
        if answer is None or status not in (301, 302, 303, 307, 308):
            if status == 200:
                return ok("page", f"visitors land on {path}, HTTP 200")
            return fail("page", f"visitors land on {path}, which is {_said(status)}", mend)
        url = urlsplit(urljoin(path, answer.headers.get("Location", "")))
        path = f"{url.path}?{url.query}" if url.query else url.path
        if url.netloc or not path.startswith(server.base_url):
            return fail("page", f"{first} leads away from {server.base_url}", mend)
    return fail("page", f"{first} leads in a circle", mend)


def user_finding(facts: ServerFacts) -> Finding:
    """Say as whom it runs. Pure."""
    users = {one.user_id for one in facts.at_port}
    if not users:
        return skip("user", "the engine does not tell as whom it runs")
    if 0 in users and facts.root_allowed:
        return warn("user", "it runs as root, as --allow-root says")
    if 0 in users:
        return fail(
            "user",
            "it runs as root",
            "--container-user=1000, or USER in the image's Dockerfile",
        )
    return ok("user", f"it runs as user id {', '.join(map(str, sorted(users)))}")


def port_finding(facts: ServerFacts) -> Finding:
    """Say where it listens. Pure."""
    if not facts.listeners:
        return skip("port", "the engine does not tell where it listens")
    return ok("port", f"it listens at {', '.join(map(str, facts.at_port))}")


def idle_finding(facts: ServerFacts) -> Finding:
    """Say what it takes before anybody uses it. Pure."""
    if facts.memory is None:
        return skip("idle", "the engine does not tell how much memory it uses")
    return ok("idle", f"it uses {units.in_words(facts.memory)} of memory when nobody uses it")


def route_finding(facts: ServerFacts) -> Finding | None:
    """Say that it can fill a table of the machine; None if it cannot, as far as known. Pure."""
    if not facts.routeless:
        return None
    words = f"a server that names its network card, as no route leads out of {facts.routeless},"
    words += " can fill the machine's table of neighbours for seconds"
    return warn("tables", words, "--runtime=runsc")


def _said(status: int | None) -> str:
    return "no answer" if status is None else f"HTTP {status}"
