"""`/session/<id>`: the page beside a notebook, for the one who has its token.

The token arrives in the query, as the notebook's own page links it, and leaves the
address bar at once: into a cookie, and where no cookie is kept into the forms of the page.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from tmpnb.access.ties import SESSION
from tmpnb.core.server import NotebookServer
from tmpnb.errors import DownloadBrokenError
from tmpnb.system.signing import same
from tmpnb.system.units import Moment, duration
from tmpnb.visitors.time_left import Lifetime
from tmpnb.web.api.servers import NOT_YET
from tmpnb.web.asked.browser import BrowserHandler
from tmpnb.web.pages.gone import RETRY_AFTER, say_goodbye
from tmpnb.web.pages.spawn import IN_A_SANDBOX

log = logging.getLogger(__name__)

COOKIE = "tmpnb-session"
KEPT = "kept=yes"  # in the query, once it was kept
ARRIVAL = 60  # seconds in which a browser that keeps no cookie must follow the redirect
SLOWEST = 60.0  # seconds in which a visitor must take one piece of an archive
FROM_ELSEWHERE = "This is done from the page of the notebook only."
NO_KEY = (
    "This page is for the one who has the notebook. Open it from there: "
    "the sign in the notebook's corner leads here."
)


class OwnPageHandler(BrowserHandler):
    """A request that speaks for one server by its token, from a browser."""

    by_any_name = True

    def expected(self, server_id: str) -> str:
        """Return the server's token."""
        return self.site.orchestrator.token_for(server_id)

    def has_cookie(self, server_id: str) -> bool:
        """Whether the browser was let in before, in the network it is in now."""
        return server_id in self.said(COOKIE, SESSION)

    def check_form(self, server_id: str) -> None:
        """Let a POST pass only from our own page and with the token in its body.

        Raises:
            HTTPError: 403.
        """
        if not self.is_own_page():
            sandboxed = self.request.headers.get("Origin") == "null"
            raise HTTPError(403, reason=IN_A_SANDBOX if sandboxed else FROM_ELSEWHERE)
        if not same(self.get_body_argument("token", ""), self.expected(server_id)):
            raise HTTPError(403, reason=NO_KEY)

    def arriving(self, server_id: str) -> str:
        """Return the page's address for who may keep no cookie; good for a minute.

        Who comes there with the cookie is sent on at once.
        """
        until = int(time.time()) + ARRIVAL
        arrival = f"{until}.{self._sign_arrival(server_id, until)}"
        return f"/session/{server_id}?arrival={arrival}"

    def lead_back(self, server_id: str, query: str = "") -> None:
        """Answer a form, that has shown the token, by way of a redirect to the page."""
        if self.has_cookie(server_id):
            self.redirect(f"/session/{server_id}{'?' if query else ''}{query}", status=303)
        else:
            self.redirect(f"{self.arriving(server_id)}{'&' if query else ''}{query}", status=303)

    def _sign_arrival(self, server_id: str, until: int) -> str:
        return self.site.orchestrator.tokens.sign(f"arrival:{server_id}:{until}")

    def claimed(self, server_id: str) -> NotebookServer | None:
        """Return the live server, to one who has shown its token; else the answer is sent.

        Raises:
            HTTPError: 503, it is not known yet which servers there are.
        """
        orchestrator = self.site.orchestrator
        server = orchestrator.claims.live(server_id)
        if server is not None:
            return server
        if self.request.method == "POST" and orchestrator.adopted:
            self.lead_back(server_id)
        elif orchestrator.adopted:
            say_goodbye(self, server_id, token=self.expected(server_id))
        elif self.request.method == "POST":
            raise HTTPError(503, reason=NOT_YET)
        else:
            self.set_header("Retry-After", str(RETRY_AFTER))
            self.page("reconnecting.html", 503, retry_after=RETRY_AFTER)
        return None


class SessionHandler(OwnPageHandler):
    """`/session/<id>`: how long it has; keep it, take the files away, end it."""

    async def get(self, server_id: str) -> None:
        """Show the page, once the token is out of the address bar."""
        token = self.get_query_argument("token", "")
        if token:
            self._let_in(server_id, token)
        elif self.has_cookie(server_id):
            if self.request.query not in ("", KEPT):
                self.redirect(self.request.path, status=303)
            else:
                await self._show(server_id)
        elif self._has_just_arrived(server_id):
            await self._show(server_id)
        else:
            raise HTTPError(403, reason=NO_KEY)

    head = get

    async def post(self, server_id: str) -> None:
        """Do what the body says, `do=keep` or `do=stop`; then lead back to what is."""
        self.check_form(server_id)
        wish = self.get_body_argument("do", "")
        if wish not in ("keep", "stop"):
            raise HTTPError(400, reason="The form must say do=keep or do=stop.")
        server = self.claimed(server_id)
        if server is None:
            return
        if wish == "keep":
            self.site.orchestrator.claims.keep(server)
        else:
            self.site.orchestrator.claims.close(server)
        self.lead_back(server_id, KEPT if wish == "keep" else "")

    def _let_in(self, server_id: str, token: str) -> None:
        """Take the token out of the address; a fragment stays, as browsers have it.

        Raises:
            HTTPError: 403, it is another token.
        """
        if not same(token, self.expected(server_id)):
            raise HTTPError(403, reason=NO_KEY)
        age = int(self.site.remember_visitors)
        cookie = self.seal(COOKIE, SESSION, server_id)
        self.set_lasting_cookie(COOKIE, cookie, path=self.request.path, age=age)
        self.redirect(self.arriving(server_id), status=303)

    def _has_just_arrived(self, server_id: str) -> bool:
        until, _, signature = self.get_query_argument("arrival", "").partition(".")
        if not (until.isascii() and until.isdecimal()) or len(until) > 12:
            return False
        signed = same(signature, self._sign_arrival(server_id, int(until)))
        return signed and time.time() <= int(until)

    async def _show(self, server_id: str) -> None:
        server = self.claimed(server_id)
        if server is None:
            return
        lifetime = await self.site.lifetimes.of(server)
        self.page(
            "session.html",
            server_id=server_id,
            token=self.expected(server_id),
            notebook=self.on_server(server_id, server.base_url),
            lifetime=lifetime,
            kept=self.get_query_argument("kept", "") == "yes",
            **outlook(lifetime),
        )


class FilesHandler(OwnPageHandler):
    """`/session/<id>/files.zip`: all files of a notebook in one archive."""

    lasting = frozenset({"GET", "POST"})
    _begun = False  # whether some of it was sent

    async def get(self, server_id: str) -> None:
        """Send it to who has the page's cookie or says `Authorization: token <token>`."""
        if not self.has_cookie(server_id):
            self.require_token(self.expected(server_id))
        await self._send(server_id)

    async def post(self, server_id: str) -> None:
        """Send it to who has the token in the body: a form of the page."""
        self.check_form(server_id)
        await self._send(server_id)

    async def _send(self, server_id: str) -> None:
        server = self.claimed(server_id)
        if server is None:
            return
        orchestrator = self.site.orchestrator
        with self.site.downloads.place(server):
            orchestrator.claims.keep(server)
            self.set_header("Content-Type", "application/zip")
            self.set_header("Content-Disposition", 'attachment; filename="notebook-files.zip"')
            try:
                await self.site.downloads.pack(server, self._send_piece)
            except (StreamClosedError, TimeoutError):
                self._break_off()  # the visitor has left, or takes nothing any more
            except DownloadBrokenError as error:
                log.warning("a download from server %s broke off: %s", server_id, error)
                if not self._begun:
                    raise  # it can be said
                self._break_off()
            except BaseException:
                self._break_off()
                raise

    def _break_off(self) -> None:
        """End the answer so that half an archive does not look like a whole one."""
        stream = self.detach()
        if self.request.version == "HTTP/1.0" and stream.socket is not None:
            # There, an answer ends with its connection; only a reset tells that it broke off.
            reset = struct.pack("ii", 1, 0)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        stream.close()

    async def _send_piece(self, piece: bytes) -> None:
        self._begun = True
        self.write(piece)
        async with asyncio.timeout(SLOWEST):
            await self.flush()


def outlook(lifetime: Lifetime) -> dict[str, Any]:
    """Return what the page says of a server's future, in words and in times."""
    ends, idle = lifetime.expires_at, lifetime.idle_at
    first = ends if idle is None else min(ends, idle)
    return {
        "left": duration(first - lifetime.now),
        "expires": Moment(ends),
        "idle": None if idle is None or idle >= ends else Moment(idle),
    }
