"""How a visitor gets from the URL to a notebook page, and how they leave, with each system."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urljoin, urlsplit

from tornado.httpclient import HTTPResponse

from tmpnb.commands.load.session import Session, must
from tmpnb.commands.load.tally import Tally
from tmpnb.commands.load.target import Target
from tmpnb.errors import VisitError

SCRIPT = {"Accept": "application/json"}
RETRY = 2.0  # seconds, where an answer does not say how long
GOODBYE = 20.0  # seconds to leave after a fault or an interruption
MOST_LOOKS = 1000  # at a hub that says again and again that a server is on its way


@dataclass(frozen=True, slots=True)
class Place:
    """A notebook server that a visitor has.

    Attributes:
        root: Its base URL.
        headers: With which its API lets the visitor in, beside cookies.
    """

    root: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Door(Protocol):
    """One system, as a visitor meets it."""

    system: str  # its name

    async def enter(self, session: Session, tally: Tally) -> Place:
        """Come in; return once the notebook page was answered with 200.

        Raises:
            VisitError: That did not come about.
        """

    async def leave(self, session: Session, place: Place) -> None:
        """Give the server back, where that is possible.

        Raises:
            VisitError: It was refused.
        """


class TmpnbDoor:
    """A page whose script takes a server, if need be after a wait in line."""

    system = "tmpnb"

    def __init__(self, target: Target) -> None:
        self._target = target
        link = f"/{target.page}" if target.page else ""
        query = f"?{target.query}" if target.query else ""
        self._spawn = f"{target.root}spawn{link}{query}"

    async def enter(self, session: Session, tally: Tally) -> Place:
        """Open the page, take a server as its script does, open the notebook page."""
        with tally.timed("first page"):
            must(await session.ask(self._target.url), 200)
        with tally.timed("server"):
            async with asyncio.timeout(session.patience):
                url = await self._take(session)
        root = "/".join(url.split("/")[:5]) + "/"
        token = url.partition("token=")[2].partition("&")[0].partition("#")[0]
        place = Place(root, {"Authorization": f"token {token}"})
        try:
            with tally.timed("notebook page"):
                await opened(session, url)
        except BaseException:
            await flee(self, session, place)
            raise
        return place

    async def leave(self, session: Session, place: Place) -> None:
        """End the server."""
        server_id = place.root.split("/")[4]
        url = f"{self._target.root}api/servers/{server_id}"
        must(await session.ask(url, method="DELETE", headers=place.headers), 204)

    async def _take(self, session: Session) -> str:
        ticket = ""
        while True:
            body = urlencode({"ticket": ticket, "wait": 0})
            headers = SCRIPT | {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await session.ask(self._spawn, method="POST", headers=headers, body=body)
            told = told_in(answer)
            if answer.code == 200 and isinstance(told.get("url"), str):
                return str(urljoin(self._target.root, told["url"]))
            must(answer, 503)
            ticket = str(told.get("ticket") or "")
            if ticket:
                await self._wait_in_line(session, ticket)
            else:
                await asyncio.sleep(seconds(told.get("retry_after")))

    async def _wait_in_line(self, session: Session, ticket: str) -> None:
        """Return when it is the visitor's turn, or their place is lost."""
        stream = await session.ask(
            f"{self._target.root}wait/{ticket}", headers={"Accept": "text/event-stream"}
        )
        if stream.code != 200:
            await asyncio.sleep(RETRY)


class HubDoor:
    """JupyterHub with tmpauthenticator: redirects, a page that waits, more redirects."""

    system = "JupyterHub"

    def __init__(self, target: Target) -> None:
        self._target = target

    async def enter(self, session: Session, tally: Tally) -> Place:
        """Follow the redirects, wait for the server, follow those to the notebook page."""
        with tally.timed("first page"):
            url, answer = await session.follow(self._target.root, until=self._at_server)
        with tally.timed("server"):
            async with asyncio.timeout(session.patience):
                for _ in range(MOST_LOOKS):
                    if answer is None:
                        break
                    await self._wait_on(session, url, must(answer, 200))
                    url, answer = await session.follow(url, until=self._at_server)
        with tally.timed("notebook page"):
            url = await opened(session, url)
        root = "/".join(url.split("/")[: self._depth + 2]) + "/"
        return Place(root, _against_forgery(session, root))

    async def leave(self, session: Session, place: Place) -> None:
        """Let the hub stop the server."""
        name = place.root.split("/")[self._depth + 1]
        hub = f"{self._target.root}hub/"
        answer = await session.ask(
            f"{hub}api/users/{name}/server",
            method="DELETE",
            headers=_against_forgery(session, hub),
        )
        must(answer, 202, 204)

    @property
    def _depth(self) -> int:
        """How many slashes stand before `user` in the URL of a server."""
        return self._target.root.count("/")

    def _at_server(self, url: str) -> bool:
        return url.startswith(f"{self._target.root}user/")

    async def _wait_on(self, session: Session, url: str, page: HTTPResponse) -> None:
        """Return when the hub has no more to say about the server's start.

        Raises:
            VisitError: It is not starting one.
        """
        found = re.search(r"/hub/spawn-pending/([^/?#]+)", url)
        if found is None:
            raise VisitError("the hub asks a person something: /" + urlsplit(url).path.strip("/"))
        hub = f"{self._target.root}hub/"
        query = urlencode({"_xsrf": session.cookies.value(hub, "_xsrf")})
        stream = await session.ask(
            f"{hub}api/users/{found[1]}/server/progress?{query}",
            headers={"Accept": "text/event-stream"},
        )
        if stream.code != 200:
            await asyncio.sleep(RETRY)
        elif b'"failed": true' in stream.body:
            raise VisitError("the hub could not start a server")


class JupyterDoor:
    """One Jupyter server, which all visitors share."""

    system = "Jupyter server"

    def __init__(self, target: Target) -> None:
        self._target = target

    async def enter(self, session: Session, tally: Tally) -> Place:
        """Open the page with the token."""
        target = self._target
        token = {"token": target.token} if target.token else {}
        query = "&".join(filter(None, [target.query, urlencode(token)]))
        with tally.timed("notebook page"):
            await opened(
                session, f"{target.root}{target.page or 'lab'}" + f"?{query}" * bool(query)
            )
        authorization = {"Authorization": f"token {target.token}"} if target.token else {}
        return Place(target.root, authorization | _against_forgery(session, target.root))

    async def leave(self, session: Session, place: Place) -> None:
        """Do nothing: others are still there."""


async def flee(door: Door, session: Session, place: Place) -> None:
    """Leave after a fault or an interruption; another fault in doing so adds nothing."""
    try:
        async with asyncio.timeout(GOODBYE):
            await door.leave(session, place)
    except (VisitError, TimeoutError):
        pass


async def opened(session: Session, url: str) -> str:
    """Return the URL of a notebook page once it was answered with 200.

    Raises:
        VisitError: It was not, or it asks to log in.
    """
    url, answer = await session.follow(url)
    must(answer, 200)
    if urlsplit(url).path.endswith("/login"):
        raise VisitError("the server asks to log in; a Jupyter server's URL needs its token")
    return url


def told_in(answer: HTTPResponse) -> dict[str, Any]:
    """Return the JSON of an answer, nothing if it has none."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def seconds(value: object) -> float:
    """Return how long to wait before the next try."""
    return float(value) if isinstance(value, int | float) and 0 < value < 3600 else RETRY


def _against_forgery(session: Session, url: str) -> dict[str, str]:
    """Return the header by which a page's script shows that it is the site's own."""
    token = session.cookies.value(url, "_xsrf")
    return {"X-XSRFToken": token} if token else {}
