"""One visitor's browser without a window: cookies, redirects, and one kind of failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urljoin

from tornado.httpclient import HTTPError, HTTPResponse

from tmpnb.commands.load.cookies import Cookies
from tmpnb.errors import UnreachableError, VisitError
from tmpnb.system.http.client import MAX_ANSWER, Client

MOST_REDIRECTS = 20
REDIRECTS = (301, 302, 303, 307, 308)
JSON = {"Content-Type": "application/json"}
BROWSER = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) tmpnb-load/1",
}


class Session:
    """Asks as one visitor.

    Attributes:
        cookies: That the visitor was given.
        patience: Seconds for one answer.
    """

    def __init__(self, patience: float) -> None:
        self.cookies, self.patience = Cookies(), patience
        self._client = Client(MAX_ANSWER)

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> HTTPResponse:
        """Return the answer, whatever its status.

        Raises:
            VisitError: There was none in time.
        """
        sent = BROWSER | dict(headers or {})
        if cookie := self.cookies.header(url):
            sent["Cookie"] = cookie
        try:
            answer = await self._client.fetch(
                url,
                timeout=self.patience,
                method=method,
                headers=sent,
                body=body,
            )
        except UnreachableError as error:
            raise VisitError(reason(error)) from error
        for set_cookie in answer.headers.get_list("Set-Cookie"):
            self.cookies.keep(url, set_cookie)
        return answer

    async def follow(
        self, url: str, *, until: Callable[[str], bool] = lambda url: False
    ) -> tuple[str, HTTPResponse | None]:
        """Follow redirects; return the last URL and its answer.

        Args:
            url: The first.
            until: Says of a URL that a redirect names whether to stop there; it is then
                returned without an answer.

        Raises:
            VisitError: There was no answer, or one redirect too many.
        """
        for _ in range(MOST_REDIRECTS):
            answer = await self.ask(url)
            if answer.code not in REDIRECTS:
                return url, answer
            url = urljoin(url, answer.headers.get("Location", ""))
            if until(url):
                return url, None
        raise VisitError("redirected without end")

    def close(self) -> None:
        """Close every connection."""
        self._client.close()


def reason(error: UnreachableError) -> str:
    """Return why there was no answer, in words that are the same for all visitors."""
    cause = error.__cause__
    if isinstance(cause, HTTPError):
        return cause.message or "no answer"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(cause).__name__


def must(answer: HTTPResponse | None, *codes: int) -> HTTPResponse:
    """Return an answer that has one of the statuses.

    Raises:
        VisitError: It has another.
    """
    if answer is None or answer.code not in codes:
        raise VisitError(f"HTTP {answer.code}" if answer else "redirected elsewhere")
    return answer
