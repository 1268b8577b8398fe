"""What every started server must do, checked on a running one."""

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
    """A running server and its token."""

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
        return warn("path", f"GET {base_url}api returns {_said(status)}: Jupyter returns 200 there")
    for path in ("/api", "/"):
        if await server.status(path) == 200:
            return fail(
                "path",
                f"it returns 200 at {path} too, so it does not stay under {base_url}",
                "pass {base_path} on in --command, as in --ServerApp.base_url={base_path}",
            )
    return ok("path", f"it responds under {base_url} and not at /")


async def access_finding(server: Visited) -> Finding:
    """Report whether only its own token opens it."""
    path = f"{server.base_url}api/status"
    without, with_token = await server.status(path), await server.status(path, with_token=True)
    if without == 200:
        return fail(
            "access",
            f"GET {path} returns HTTP 200 without a token: anyone who finds the server can use it",
            "make it require the token in JUPYTER_TOKEN, or pass {token} on in --command",
        )
    if without == with_token == 404:
        return warn("access", f"there is no {path}: a server without traffic counts as idle")
    if with_token != 200 or without not in CLOSED:
        return fail(
            "access",
            f"GET {path} returns {_said(without)} without the token and "
            f"{_said(with_token)} with it",
            "make it take its token only from JUPYTER_TOKEN, or pass {token} on in --command",
        )
    return ok("access", f"it requires its token (HTTP {without} without it)")


async def page_finding(server: Visited, redirect_uri: str) -> Finding:
    """Report whether the page that visitors land on exists."""
    first = path = f"{server.base_url.rstrip('/')}{redirect_uri}"
    mend = "set --redirect-uri to a page of this image, like /lab or /tree"
    for _ in range(HOPS):
        answer = await server.get(path, with_token=True)
        status = answer.code if answer else None
        if answer is None or status not in (301, 302, 303, 307, 308):
            if status == 200:
                return ok("page", f"visitors land on {path}, HTTP 200")
            return fail("page", f"visitors land on {path}, which returns {_said(status)}", mend)
        url = urlsplit(urljoin(path, answer.headers.get("Location", "")))
        path = f"{url.path}?{url.query}" if url.query else url.path
        if url.netloc or not path.startswith(server.base_url):
            return fail("page", f"{first} redirects away from {server.base_url}", mend)
    return fail("page", f"{first} redirects in a circle", mend)


def user_finding(facts: ServerFacts) -> Finding:
    """Report which user it runs as. Pure."""
    users = {one.user_id for one in facts.at_port}
    if not users:
        return skip("user", "the engine does not report which user it runs as")
    if 0 in users and facts.root_allowed:
        return warn("user", "it runs as root, as allowed by --allow-root")
    if 0 in users:
        return fail(
            "user",
            "it runs as root",
            "--container-user=1000, or USER in the image's Dockerfile",
        )
    return ok("user", f"it runs as user id {', '.join(map(str, sorted(users)))}")


def port_finding(facts: ServerFacts) -> Finding:
    """Report where it listens. Pure."""
    if not facts.listeners:
        return skip("port", "the engine does not report where it listens")
    return ok("port", f"it listens at {', '.join(map(str, facts.at_port))}")


def idle_finding(facts: ServerFacts) -> Finding:
    """Report how much memory it uses when idle. Pure."""
    if facts.memory is None:
        return skip("idle", "the engine does not report how much memory it uses")
    return ok("idle", f"it uses {units.in_words(facts.memory)} of memory when idle")


def route_finding(facts: ServerFacts) -> Finding | None:
    """Warn that it can fill a kernel table; None if it cannot, as far as known. Pure."""
    if not facts.routeless:
        return None
    words = f"{facts.routeless} has no default route; by binding to its interface, a server can"
    words += " fill the machine's neighbour table for seconds"
    return warn("tables", words, "--runtime=runsc")


def _said(status: int | None) -> str:
    return "no answer" if status is None else f"HTTP {status}"
