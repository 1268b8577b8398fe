"""The operator's page on the admin port: who is here, and what can be done about it.

It lies below `/admin/`, for which its cookie is meant. Browsers send a cookie to all ports of a
host: one for `/` would reach the notebooks of a service at the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tornado.web import HTTPError

from tmpnb.access import bans, own_hosts
from tmpnb.core import origins
from tmpnb.errors import (
    BansFullError,
    ConfigError,
    RolloutRefusedError,
    ServerStartsError,
    TooManyTriesError,
)
from tmpnb.system.signing import same
from tmpnb.system.units import Moment
from tmpnb.visitors.roster import Row
from tmpnb.web.admin.api import status
from tmpnb.web.admin.operator import ANOTHER_NAME, count_wrong
from tmpnb.web.admin.sessions import LONGEST, AdminSessions
from tmpnb.web.admin.tables import size, span
from tmpnb.web.api.spawn import is_image
from tmpnb.web.asked import cookie_names, intent
from tmpnb.web.base import BaseHandler
from tmpnb.web.brand import LONGEST_NOTICE
from tmpnb.web.cors import Cors
from tmpnb.web.markup import BadMarkupError, TooLongError

PATH = "/admin/"
COOKIE = "tmpnb-admin"
SHOWN = 200  # servers on the page; `tmpnb list` has all
FROM_ELSEWHERE = "Another page led here. Type the address yourself, or use a bookmark."
SAID: Mapping[str, str] = {
    "stopped": "The server is being stopped.",
    "gone": "There is no such server any more.",
    "starting": "That server is being started, and nobody has it yet.",
    "banned": "The network can no longer get a server.",
    "banned-stopped": "The network can no longer get a server, and those it had are being stopped.",
    "unkept": "The network is banned until a restart: it could not be written down, see the log.",
    "unbanned": "The network may take servers again.",
    "announced": "It is now shown above every page.",
    "silent": "Nothing is announced any more.",
    "drained": "All unclaimed servers are being replaced, a few at a time.",
    "trying": "One server of that image is being started, to try it.",
    "out": "You are logged out.",
}
FAULTS: Mapping[str, str] = {
    "not-banned": "That network is not banned here.",
    "network": "That is not a network. Write 192.0.2.0/24 or 2001:db8::/32.",
    "full": "Too many networks are banned here. Write them into a file of --banned-networks.",
    "long": f"That cannot be announced: it is longer than {LONGEST_NOTICE} characters.",
    "text": "That cannot be announced: it has a link that is not valid, or a control character.",
    "image": "That is not the name of an image. Write name:tag.",
    "busy": "Another image is being tried; wait for that.",
    "wrong": "That is not the token.",
    "tries": "That is not the token. Too many wrong ones have come; the log says from where.",
    "old": "The page was too old. Please try again.",
}


class OperatorPageHandler(BaseHandler):
    """A request of the operator's browser, by itself and not for a page of somebody else."""

    session = ""  # of the browser; empty for none

    def cors(self, origin: str) -> Cors:
        """Let no other page read this, whatever --allow-origin says."""
        del origin
        return Cors()

    def absolute(self, path: str) -> str:
        """Return the address of a path where the operator asks, which is not where visitors do."""
        forwarded = self.request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip(" \t")
        scheme = "https" if forwarded == "https" else "http"
        return f"{scheme}://{self.request.host}{path}"

    def _form_policy(self) -> str:
        return ""

    def _site_headers(self) -> None:
        super()._site_headers()
        self.set_header("X-Frame-Options", "DENY")

    def wants_json(self) -> bool:
        """Whether the client is a program: never, for these there is the API."""
        return False

    def prepare(self) -> None:
        """Refuse what another page has sent, and what comes under a name of somebody else.

        Raises:
            HTTPError: 403.
        """
        super().prepare()
        headers = self.request.headers
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if not own_hosts.is_own(host, self.site.own_names):
            raise HTTPError(403, reason=ANOTHER_NAME)
        if not intent.is_own_page(headers) or not (origin is None or origins.is_at(origin, host)):
            raise HTTPError(403, reason=FROM_ELSEWHERE)
        told = cookie_names.values(
            COOKIE, self.cookie_name(COOKIE), self.request.headers.get("Cookie", "")
        )
        self.session = next(filter(self.sessions.is_ours, told), "")

    @property
    def sessions(self) -> AdminSessions:
        """Makes and knows sessions."""
        orchestrator = self.site.orchestrator
        return AdminSessions(
            orchestrator.tokens,
            self.site.admin_token,
            lambda: self.site.roster.now,
            self.site.operating.ended,
        )

    def keep_session(self, value: str, age: int) -> None:
        """Have the browser send a session with each request to these pages, and with no other."""
        secure = "; Secure" if self.is_https else ""
        self.add_header(
            "Set-Cookie",
            f"{self.cookie_name(COOKIE)}={value}; Path={PATH}; Max-Age={age}; HttpOnly; "
            f"SameSite=Strict{secure}",
        )

    def go_back(self, said: str = "") -> None:
        """Lead to the page by a GET, which says what has been done."""
        self.set_status(303)
        self.set_header("Location", f"{PATH}?said={said}" if said else PATH)
        self.finish()

    def show(self, template: str, **values: Any) -> None:
        """Finish with a page that says what was done last."""
        said = self.get_query_argument("said", "")
        self.page(template, said=SAID.get(said, ""), fault=FAULTS.get(said, ""), **values)


class RootHandler(OperatorPageHandler):
    """`GET /` on the admin port."""

    async def get(self) -> None:
        """Lead to the operator's page."""
        self.redirect(PATH)

    head = get


class AdminPageHandler(OperatorPageHandler):
    """`/admin/` on the admin port."""

    async def get(self) -> None:
        """Show the service, or ask for the token."""
        if not self.session:
            if self.site.admin_token is not None:
                self.show("admin_login.html")
                return
            self.session = self.sessions.begin()
            self.keep_session(self.session, LONGEST)
        wants_usage = self.get_query_argument("usage", "") == "1"
        roster, anonymize = self.site.roster, self.site.operating.anonymize
        used = await roster.used() if wants_usage else None
        rows = roster.rows(anonymize=anonymize, used=used)
        since = self.site.operating.bans.since
        self.show(
            "admin.html",
            told=status(self.site),
            servers=[_in_words(row, roster.now) for row in rows[:SHOWN]],
            more=max(0, len(rows) - SHOWN),
            bans=[(bans.written(network), Moment(at)) for network, at in since.items()],
            rollout=self.site.orchestrator.rollout,
            form=self.sessions.form_of(self.session),
            has_login=self.site.admin_token is not None,
            anonymize=anonymize,
            longest_notice=LONGEST_NOTICE,
        )

    head = get

    async def post(self) -> None:
        """Do what a form of the page asks for, and lead back to it."""
        sent = self.get_body_argument("form", "")
        if not self.session or not self.sessions.is_form_of(self.session, sent):
            self.go_back("old")
            return
        act = ACTS.get(self.get_body_argument("do", ""))
        if act is None:
            raise HTTPError(400)
        self.go_back(act(self))


class LoginHandler(OperatorPageHandler):
    """`POST /admin/login`."""

    async def post(self) -> None:
        """Let in who knows the token, however many wrong ones have come."""
        expected = self.site.admin_token
        if expected is not None and same(self.get_body_argument("token", ""), expected):
            self.keep_session(self.sessions.begin(), LONGEST)
            self.go_back()
            return
        try:
            count_wrong(self)
        except TooManyTriesError:
            self.go_back("tries")
        else:
            self.go_back("wrong")


def _stop(page: AdminPageHandler) -> str:
    orchestrator = page.site.orchestrator
    server = orchestrator.pool.servers.get(page.get_body_argument("server", ""))
    if server is None:
        return "gone"
    try:
        orchestrator.claims.stop(server)
    except ServerStartsError:
        return "starting"
    return "stopped"


def _ban(page: AdminPageHandler) -> str:
    orchestrator, stop = page.site.orchestrator, page.get_body_argument("stop", "") == "1"
    try:
        network = bans.network(page.get_body_argument("network", ""))
        kept = page.site.operating.bans.add(network)
    except ConfigError:
        return "network"
    except BansFullError:
        return "full"
    for server in page.site.roster.of_network(network) if stop else ():
        orchestrator.claims.stop(server)
    return ("banned-stopped" if stop else "banned") if kept else "unkept"


def _unban(page: AdminPageHandler) -> str:
    try:
        page.site.operating.bans.remove(bans.network(page.get_body_argument("network", "")))
    except ConfigError:
        return "network"
    except KeyError:
        return "not-banned"
    return "unbanned"


def _announce(page: AdminPageHandler) -> str:
    text = page.get_body_argument("text", "").replace("\r\n", "\n")  # as browsers send it
    try:
        page.site.notice.put(text)
    except TooLongError:
        return "long"
    except BadMarkupError:
        return "text"
    return "announced" if text.strip() else "silent"


def _drain(page: AdminPageHandler) -> str:
    page.site.orchestrator.rollout.drain()
    return "drained"


def _roll(page: AdminPageHandler) -> str:
    image = page.get_body_argument("image", "")
    if not is_image(image):
        return "image"
    try:
        page.site.orchestrator.rollout.start(image)
    except RolloutRefusedError:
        return "busy"
    return "trying"


def _leave(page: AdminPageHandler) -> str:
    page.sessions.end(page.session)
    page.keep_session("", 0)
    return "out"


ACTS: Mapping[str, Callable[[AdminPageHandler], str]] = {
    "stop": _stop,
    "ban": _ban,
    "unban": _unban,
    "announce": _announce,
    "drain": _drain,
    "roll": _roll,
    "leave": _leave,
}


def _in_words(row: Row, now: float) -> dict[str, str]:
    begun = row.created_at if row.claimed_at is None else row.claimed_at
    return {
        "id": row.id,
        "phase": row.phase,
        "since": "Up for" if row.claimed_at is None else "With visitor for",
        "age": span(now - begun),
        "used": "" if row.last_use is None else f"{span(now - row.last_use)} ago",
        "ends": "" if row.expires_at is None else f"in {span(row.expires_at - now)}",
        "client": row.client or "",
        "cpu": "" if row.cpu_seconds is None else span(row.cpu_seconds),
        "memory": "" if row.memory is None else size(row.memory),
        "image": row.image or "",
    }
