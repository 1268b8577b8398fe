"""Who may speak to the admin port: the operator, and no page in the operator's browser."""

from __future__ import annotations

from tornado.web import HTTPError

from tmpnb import visit
from tmpnb.handlers.base import BaseHandler

FROM_A_PAGE = "A web page may not do this. Use a program, or set ADMIN_AUTH_TOKEN and send it."


class OperatorHandler(BaseHandler):
    """A request that changes the service, on the admin port.

    Without a token whoever reaches the port may ask, and any page that the operator looks at
    can send requests to loopback. So what a browser sends for a page is refused; with a token,
    which no browser sends by itself, it need not be.
    """

    def is_free(self) -> bool:
        """Whether the operator's token is in it."""
        return self.has_token(self.site.admin_token)

    def prepare(self) -> None:
        """Let only the operator in."""
        super().prepare()
        if self.request.method == "OPTIONS":
            return
        self.require_token(self.site.admin_token)
        if self.site.admin_token is None and visit.is_for_a_page(self.request.headers):
            raise HTTPError(403, reason=FROM_A_PAGE)
