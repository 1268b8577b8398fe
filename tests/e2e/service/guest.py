"""A visitor with a browser and work of their own, who must lose nothing when a service changes."""

from __future__ import annotations

import json
import re
import time
from http.cookies import SimpleCookie
from typing import Any, Self
from urllib.parse import urlencode

from tornado.httpclient import HTTPResponse

from tests.e2e.faults.kernel import Kernel
from tests.e2e.faults.visitor import FORM, Visitor
from tests.e2e.running_service import PERSON, Service, until_true

PAGE = "/lab"
AGREE = re.compile(r'name="agree" value="(\w+)"')
# Seconds between what must be remembered and the moment that would be taken in its place.
APART = 4.0
EXACT = 1.5  # seconds; what is remembered is kept in whole ones


class Browser:
    """Keeps cookies by name and path, and follows no redirect by itself."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.cookies: dict[tuple[str, str], str] = {}

    async def get(self, path: str) -> HTTPResponse:
        """Open a page."""
        return await self._ask(path, {})

    async def post(self, path: str, **fields: str) -> HTTPResponse:
        """Send a form."""
        return await self._ask(path, {"Content-Type": FORM}, method="POST", body=urlencode(fields))

    async def spawn(self, **fields: str) -> str:
        """Ask for a server as the script of a page does; return its URL, token included."""
        headers = {"Content-Type": FORM, "Accept": "application/json"}
        how = {"method": "POST", "body": urlencode(fields)}
        answer = await self._ask(f"/spawn{PAGE}", headers, **how)
        assert answer.code == 200, f"{answer.code} {answer.body!r}"
        return self._service.url + str(json.loads(answer.body)["url"])

    async def _ask(self, path: str, more: dict[str, str], **how: Any) -> HTTPResponse:
        sent = "; ".join(f"{n}={v}" for (n, at), v in self.cookies.items() if _is_below(path, at))
        headers = PERSON | more | ({"Cookie": sent} if sent else {})
        answer = await self._service.fetch(path, headers=headers, **how)
        for line in answer.headers.get_list("Set-Cookie"):
            for name, cookie in SimpleCookie(line).items():
                self.cookies[name, cookie["path"]] = cookie.value
        return answer


def _is_below(path: str, place: str) -> bool:
    """Whether a browser sends a cookie of a place to an address."""
    return path.partition("?")[0] == place or path.startswith(f"{place.rstrip('/')}/")


class Guest:
    """Somebody who has taken a server, works on it and looks after it.

    Attributes:
        visitor: Who speaks to the server with its token.
        browser: Which knows the service, and is known by it.
        names: Of the cookies that they were given, with their paths.
    """

    def __init__(self, browser: Browser, visitor: Visitor, session: str) -> None:
        self.browser, self.visitor, self._session = browser, visitor, session
        self.names = set(browser.cookies)
        self._work: Kernel | None = None
        self._promised: dict[str, float] = {}

    @classmethod
    async def arriving(cls, service: Service, passphrase: str) -> Self:
        """Agree to the terms, say the passphrase, and take a server."""
        browser = Browser(service)
        terms = (await browser.get("/")).body.decode()
        [version] = AGREE.findall(terms)
        return await cls._taking(service, browser, agree=version, passphrase=passphrase)

    async def friend(self, service: Service) -> Self:
        """Return somebody new whose browser has agreed to the terms, and has the pass, already."""
        browser = Browser(service)
        browser.cookies |= {
            (name, path): value
            for (name, path), value in self.browser.cookies.items()
            if name.startswith(("tmpnb-terms", "tmpnb-pass"))
        }
        assert len(browser.cookies) == 2, self.browser.cookies
        return await self._taking(service, browser)

    @classmethod
    async def _taking(cls, service: Service, browser: Browser, **fields: str) -> Self:
        url = await browser.spawn(**fields)
        visitor = Visitor(service, url)
        session = f"/session/{visitor.id}"
        shown = await browser.get(f"{session}?token={url.rpartition('token=')[2]}")
        assert shown.code == 303, shown.code
        return cls(browser, visitor, session)

    async def work(self) -> None:
        """Write a file, and compute something in a kernel."""
        await self.visitor.save("the work of an hour")
        self._work = await Kernel.started(self.visitor)
        assert await self._work.says("x = 6 * 7; print(x)") == "42"

    async def look_after_it(self) -> None:
        """Let the idle clock begin anew some time after the last use, and note what is promised."""
        last, since = await self._lifetime(), time.time()
        await until_true(lambda: time.time() > since + APART, "what begins anew looks otherwise")
        token = self.visitor.url.rpartition("token=")[2]
        kept = await self.browser.post(self._session, do="keep", token=token)
        assert kept.code == 303, kept.code
        self._promised = await self._lifetime()
        assert self._promised["idle_at"] > last["idle_at"] + EXACT

    async def finds_all_again(self, *, connected: bool) -> None:
        """Check that nothing of it is lost.

        Args:
            connected: Whether the connection to the kernel must have gone on.
        """
        lifetime = await self._lifetime()  # first, as what comes then is use
        for what, moment in self._promised.items():
            assert abs(lifetime[what] - moment) < EXACT, f"{what}: {moment} before, {lifetime} now"
        assert await self.browser.spawn() == self.visitor.url, "a reload leads to another server"
        by_link = await self.browser.get(f"/spawn{PAGE}")
        assert by_link.code == 302, by_link.code
        assert self.visitor.url.endswith(by_link.headers["Location"])
        root = await self.browser.get("/")
        assert root.code == 200
        assert not AGREE.search(root.body.decode()), "the terms are asked for again"
        session = await self.browser.get(self._session)
        assert session.code == 200, "the page beside the notebook does not know its visitor"
        assert set(self.browser.cookies) == self.names, "there are cookies of other names"
        assert await self.visitor.is_back(), "the token does not open the notebook"
        if self._work is not None:
            assert await self.visitor.saved() == "the work of an hour"
            kernel = self._work if connected else await self._work.again()
            assert await kernel.says("print(x)") == "42"

    async def leave(self) -> None:
        """End the server."""
        if self._work is not None:
            self._work.close()
        token = self.visitor.url.rpartition("token=")[2]
        answer = await self.browser.post(self._session, do="stop", token=token)
        assert answer.code == 303, answer.code

    async def _lifetime(self) -> dict[str, float]:
        """Return when it was claimed and when it ends, Unix time in seconds."""
        token = self.visitor.url.rpartition("token=")[2]
        answer = await self.visitor.service.client.fetch(
            f"{self.visitor.service.url}/api/servers/{self.visitor.id}",
            timeout=20,
            headers={"Authorization": f"token {token}"},
        )
        assert answer.code == 200, f"the service does not know the token: {answer.code}"
        told = json.loads(answer.body)
        return {name: float(told[name]) for name in ("claimed_at", "expires_at", "idle_at")}
