"""Who may speak to the admin port: the operator, and no page in the operator's browser."""

from __future__ import annotations

from tornado.web import HTTPError

from tmpnb.access import own_hosts
from tmpnb.errors import TooManyTriesError
from tmpnb.web.asked import intent
from tmpnb.web.base import BaseHandler

FROM_A_PAGE = "A web page may not do this. Use a program, or set ADMIN_AUTH_TOKEN and send it."
ANOTHER_NAME = (
    "The admin port does not go by this name, which a web page may have. Ask 127.0.0.1 or "
    "another address, name it in --admin-hosts, or set ADMIN_AUTH_TOKEN and send it."
)


class AdminHandler(BaseHandler):
    """A request to the admin port, which no page may send, nor read the answer to.

    Without a token whoever reaches the port may ask, and any page that the operator looks at
    can send requests to loopback, also under a name of its own that leads there. So what a
    browser sends for a page is refused, and what comes under a public name. The token, which no
    browser sends by itself, opens both.
    """

    def is_free(self) -> bool:
        """Whether the operator's token is in it."""
        return self.has_token(self.site.admin_token)

    def prepare(self) -> None:
        """Let no page in."""
        super().prepare()
        if self.request.method == "OPTIONS" or self._has_token():
            return
        headers = self.request.headers
        if intent.is_for_a_page(headers):
            raise HTTPError(403, reason=FROM_A_PAGE)
        if not own_hosts.is_own(headers.get("Host", ""), self.site.own_names):
            raise HTTPError(403, reason=ANOTHER_NAME)

    def _has_token(self) -> bool:
        if self.site.admin_token is None:
            return False
        try:
            self.require_token(self.site.admin_token)
        except (HTTPError, TooManyTriesError):
            return False
        return True

    def require_token(self, expected: str | None) -> None:
        """Let the request pass only with the token, and count the wrong ones.

        Raises:
            HTTPError: 401 without a token or with a wrong one.
            TooManyTriesError: It is wrong, as too many were.
        """
        try:
            super().require_token(expected)
        except HTTPError:
            if self.request.headers.get("Authorization"):
                count_wrong(self)
            raise


def count_wrong(handler: BaseHandler) -> None:
    """Count a wrong token of a request.

    Raises:
        TooManyTriesError: There were too many.
    """
    request = handler.request
    forwarded = request.headers.get("X-Forwarded-For", "")
    handler.site.operating.wrong.add(request.remote_ip or "", forwarded)


class OperatorHandler(AdminHandler):
    """A request that changes the service, or tells of its inside; the token is needed, if set."""

    def prepare(self) -> None:
        """Let only the operator in."""
        if self.request.method != "OPTIONS":
            self._site_headers()
            self.require_token(self.site.admin_token)
        super().prepare()
