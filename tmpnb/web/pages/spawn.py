"""The pages a person meets on the way to a notebook, and the act of taking one."""

from __future__ import annotations

import math

from tornado.web import HTTPError

from tmpnb.core import estimate, links
from tmpnb.core.links import Link
from tmpnb.orchestrator.claims.waiting import Place
from tmpnb.system.signing import same
from tmpnb.visitors.identity import Visitor
from tmpnb.visitors.taking import Wish
from tmpnb.web.asked import intent
from tmpnb.web.asked.admission import admit
from tmpnb.web.asked.intent import Autostart
from tmpnb.web.pages.question import ASK, CODE, GO_ON, WORDS, QuestionHandler

RETRY_WHEN_STARTING = 2  # seconds
RETRY_WHEN_FULL = 10  # seconds
FROM_ELSEWHERE = "A notebook is taken from this site's own page only."
IN_A_SANDBOX = "The page around this frame keeps it in a sandbox. Open it in a tab of its own."
USER_REDIRECT = "/hub/user-redirect"
SPAWN = "/spawn"
NOT_AGREED = "Agree to the terms of use first: load this page again."
LONGEST_POLL = 20.0  # seconds that one request of a page may wait


class PageHandler(QuestionHandler):
    """A page that leads to a notebook."""

    measured = True
    spawn_path = ""  # what stands before the link in the path; never decoded

    def link(self) -> Link:
        """Return the place the visitor asked for, checked."""
        return links.parse(self.request.path.removeprefix(self.spawn_path), self.request.query)

    def pool_numbers(self) -> dict[str, int]:
        """Return what the pages say about the pool."""
        stats = self.site.orchestrator.pool.stats()
        return {
            "available": stats.available,
            "starting": stats.starting,
            "capacity": stats.capacity,
        }

    def spawn_url(self) -> str:
        """Return the address that takes a server for this page's link."""
        return f"{self.spawn_path or '/spawn'}{self.link().suffix}"

    def show_loading(self, autostart: Autostart) -> None:
        """Answer with the page that takes a server once a person sees it, or one that asks."""
        if self.must_agree():
            self.ask_to_agree(self.spawn_url())
            return
        # Not where a planted cookie comes alone: the form leads to where all of them come.
        strangers = self.strangers() if self.can_ask() and self.is_told_all() else []
        if strangers and not self.request.path.startswith(SPAWN):
            self.redirect(self.spawn_url())  # its form has no address, which keeps the fragment
            return
        if strangers:
            self.ask_which(strangers)
            return
        self.page(
            "loading.html",
            spawn_url=self.spawn_url(),
            autostart=str(autostart),
            **self.pool_numbers(),
        )


class LoadingHandler(PageHandler):
    """`/` and the deep links: a page, never a server."""

    async def get(self, *_: str) -> None:
        """Show the loading page for a path as it stands in the address bar."""
        self.show_loading(intent.autostart(self.request.headers))

    head = get


class UserRedirectHandler(LoadingHandler):
    """`/hub/user-redirect/…`, as links made for JupyterHub: the page of the same path here."""

    def link(self) -> Link:
        """Return what stands behind the prefix."""
        path = self.request.path.removeprefix(USER_REDIRECT)
        return links.parse(path, self.request.query)


class SpawnHandler(PageHandler):
    """`/spawn` and any path below it: takes a server and sends the visitor there."""

    lasting = frozenset({"GET", "POST"})
    spawn_path = SPAWN
    server_id = ""  # that the server shall have; empty: any

    async def prepare(self) -> None:
        """Take the proof of a form that starts fresh in place of a server."""
        await super().prepare()
        server_id, token = self.from_form("server"), self.from_form("token")
        orchestrator = self.site.orchestrator
        if orchestrator.is_id(server_id) and same(token, orchestrator.token_for(server_id)):
            self.proof, self.proof_of, self.measured = token, server_id, False

    async def post(self, *_: str) -> None:
        """Take a server: 303 to it, or to the page that follows; its URL as JSON for a script.

        A visitor who has a server gets that one again, unless the body says `fresh=1`.
        Who has not said the passphrase, if there is one, gets a page that asks for it, and
        says it in the body.
        A script that asks with `Accept: application/json` gets 200 `{"url"}`, or 503
        `{"status", "retry_after", "ticket", "position", "estimate", …}`, and asks again
        with `ticket` and, if it likes, `wait` (seconds) in the body.
        """
        if not (self.is_own_page() or self._is_answer()):
            if self.is_answer_in_vain():
                self.redirect(self.spawn_url(), status=303)  # it is asked again
                return
            sandboxed = self.request.headers.get("Origin") == "null"
            raise HTTPError(403, reason=IN_A_SANDBOX if sandboxed else FROM_ELSEWHERE)
        if not self.must_agree():
            await self._take(status=303)
        elif self._by_script():
            error = {"code": "terms_not_agreed", "message": NOT_AGREED}
            self.write_json({"error": error}, 403)
        else:
            self.show_after_post(self.spawn_url())

    async def get(self, *_: str) -> None:
        """Take a server for a person who follows a link, as the original did, or a form."""
        if intent.is_prefetch(self.request.headers):
            raise HTTPError(503, reason="Notebooks are not fetched ahead.")
        if self._is_known_by_cookie():
            self.redirect(self.spawn_url())
        elif self.must_agree() or not self.may_take_by_link():
            self.show_loading(Autostart.NO)
        else:
            await self._take(status=302)

    async def head(self, *_: str) -> None:
        """Answer with the loading page's headers; takes nothing."""
        self.show_loading(Autostart.NO)

    def may_take_by_link(self) -> bool:
        """Whether a GET may take a server."""
        if self.goes_on():
            return True
        by_link = intent.may_take(self.request.headers, self.site.public_url)
        return by_link and not self.is_led_astray()

    def goes_on(self) -> bool:
        """Whether the visitor has pressed a button before: a form led here, or they wait."""
        if not intent.is_page(self.request.headers):
            return False
        if self.is_led_astray():
            return bool(self.answered().choice)
        return self.has_come_from_form() or self.site.arrivals.taking.waits(self.visitor())

    def _is_known_by_cookie(self) -> bool:
        """Whether the place of a form is that of the cookie, so that the address needs no key.

        An address that somebody hands on has the place of nobody then.
        """
        ticket, visitor = self.kept("ticket"), self.visitor()
        if self.kept("token") and not self.site.visitors.had(visitor, self.server_id):
            return False
        is_theirs = bool(ticket) and self.site.visitors.ticket_of(visitor) == ticket
        return is_theirs and not visitor.is_new

    async def _take(self, status: int) -> None:
        link = self.link()
        visitor = self.site.arrivals.taking.who(self.asker(), self._ticket_id())
        goes_on = self.answered().choice == GO_ON
        if (visitor.is_new or goes_on) and self._has_asked(by_any=goes_on):
            return
        self.note_agreement()
        fresh = bool(self.get_body_argument("fresh", ""))  # by a button alone: it ends what is
        known = not self.from_form("fresh") and self.is_known(visitor)
        admission = await admit(self, self.spawn_path + link.suffix, is_known=known)
        if admission is None:
            return
        if self.is_led_astray() and self.request.method == "GET":
            self.show_loading(Autostart.NO)
            return
        wish = Wish(
            link,
            visitor,
            admission,
            self.presence,
            ticket_id=self._ticket_id(),
            patience=self._patience(),
            fresh=fresh,
            server_id=self.wished_id(),
            small=self._is_small(),
        )
        found = await self.site.arrivals.take(wish)
        if isinstance(found, Place):
            self.site.visitors.note_network(found.ticket, self.network)
            if not visitor.is_lent:
                self.remember(self.site.visitors.forget_server(visitor) if fresh else visitor)
            self._let_wait(found)
            return
        is_theirs = self._is_surely_theirs(visitor)
        self.remember(self.site.visitors.note(visitor, found.server_id, is_theirs=is_theirs))
        address = self.on_server(found.server_id, found.url)
        if self._by_script():
            self.write_json({"url": address})
        else:
            self.redirect(address, status=status)

    def _is_surely_theirs(self, visitor: Visitor) -> bool:
        """Whether a ticket was given to their network, and no address alone has it."""
        if self.request.method == "GET" and not intent.is_led_by_own_page(self.request.headers):
            return False
        return self.site.visitors.was_given_to(self.network, visitor, self._ticket_id())

    def _is_answer(self) -> bool:
        """Whether a form of the page that asks sends this, which has no origin."""
        return self.request.headers.get("Origin") == "null" and bool(self.answered().choice)

    def _has_asked(self, *, by_any: bool) -> bool:
        """Whether the person was asked which notebook they want, instead of being given one.

        A script that can show the question says so; any other is somebody new.

        Args:
            by_any: Whether any script is told that there is something to ask.
        """
        if not (by_any or self.can_ask() or self.request.headers.get(ASK)):
            return False
        strangers = self.strangers()
        if not strangers:
            return False
        if self.can_ask() and self.request.method == "POST":
            self.show_after_post(self.spawn_url())
        elif self.can_ask():
            self.ask_which(strangers)
        else:
            self.write_json({"error": {"code": CODE, "message": WORDS}}, 409)
        return True

    def asker(self) -> Visitor:
        """Return whose browser asks; who starts fresh in place of a server shows its token."""
        visitor = self.visitor()
        is_theirs = self.site.arrivals.taking.has(visitor, self.proof_of)
        if is_theirs or not (self.proof_of and self.get_body_argument("fresh", "")):
            return visitor
        return Visitor(f"of-{self.proof_of}", self.proof_of, is_lent=True)

    def is_known(self, visitor: Visitor) -> bool:
        """Whether a visitor comes back to what they have."""
        return self.site.arrivals.taking.is_known(visitor, self.wished_id())

    def wished_id(self) -> str:
        """Return the id that the server is to have; empty for any."""
        return ""

    def _ticket_id(self) -> str:
        return self.from_form("ticket")

    def _patience(self) -> float:
        return min(seconds(self.get_body_argument("wait", "0")), LONGEST_POLL)

    def _is_small(self) -> bool:
        said = self.get_body_argument("small", "")
        return said == "1" if said else intent.is_small(self.request.headers)

    def _by_script(self) -> bool:
        return "application/json" in self.request.headers.get("Accept", "")

    def _let_wait(self, place: Place) -> None:
        if self.request.method == "POST" and not self._by_script():
            # What there was to end has ended, and what was chosen has a cookie now.
            done = dict.fromkeys(("fresh", "server", "choice", "offer", "pass"), "")
            done |= {"token": ""} if self.proof_of else {}
            self.show_after_post(self.spawn_url(), ticket=place.ticket, **done)
            return
        numbers = self.pool_numbers()
        starting = bool(numbers["starting"])
        retry_after = RETRY_WHEN_STARTING if starting else RETRY_WHEN_FULL
        self.set_header("Retry-After", str(retry_after))
        told = {"retry_after": retry_after, **numbers, **place.as_dict()}
        if self._by_script():
            self.write_json({"status": "starting" if starting else "full"} | told, 503)
            return
        self.page(
            "full.html",
            503,
            spawn_url=self.spawn_url(),
            agree=self.agreed_now,
            takes=estimate.words(place.estimate),
            **told,
        )


def seconds(text: str) -> float:
    """Return a number of seconds from a request, 0 for what is none."""
    try:
        value = float(text if text.isascii() and "_" not in text else "")
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0
