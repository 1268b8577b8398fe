"""`/invite?token=…`: let in who was sent a signed link, and clear the address bar of it."""

from __future__ import annotations

from tornado.web import HTTPError

from tmpnb.access.passphrase import COOKIE
from tmpnb.access.ties import PASS
from tmpnb.core import links
from tmpnb.web.asked.browser import BrowserHandler

ENDED = "This invitation has ended, or is not from here. Ask for a new one."


class InviteHandler(BrowserHandler):
    """`/invite/<path>?token=…`: takes no server."""

    async def get(self, path: str | None = None) -> None:
        """Set the cookie that opens the gate and go on to the page of the path.

        Raises:
            HTTPError: 403, the token is none or has ended.
        """
        link = links.parse(self.request.path.removeprefix("/invite"), self.request.query)
        token = self.get_query_argument("token", "")
        seconds = self.site.gate.passes.seconds_left(token)
        if not seconds:
            raise HTTPError(403, reason=ENDED)
        self.keep(COOKIE, self.seal(COOKIE, PASS, token), seconds)
        known = link.path.partition("/")[0] in ("", *links.PAGES)
        self.redirect(f"/{link.suffix.lstrip('/')}" if known else f"/spawn{link.suffix}")
