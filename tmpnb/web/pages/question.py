"""Cookies from another network have something: ask the person whether to go on with it.

Whoever changes networks has such a cookie, and whoever was led here by a page that planted one.
Only a person can tell. So the page that asks is read by no script: it stands in a sandbox of its
own, and its form proves by a signed offer that it was shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tmpnb.access.passphrase import COOKIE as PASS_COOKIE
from tmpnb.access.ties import OFFER, PASS, Sealed
from tmpnb.system.units import Moment
from tmpnb.visitors.identity import Visitor
from tmpnb.web import embedding
from tmpnb.web.asked import intent
from tmpnb.web.pages.agreement import AgreementHandler

GO_ON, AFRESH = "go-on", "afresh"
ASK = "X-Tmpnb-Ask"  # the header of a script that can show the question
LASTS = 3600  # seconds that the question may be answered
CODE = "which_notebook"
WORDS = "A notebook was taken by this browser in another network. Load this page again to choose."
# A document without an origin: the page of a notebook can neither read it nor press its buttons.
SANDBOX = "sandbox allow-forms allow-popups allow-popups-to-escape-sandbox"
BETWEEN = "~"  # ids and keys in an offer; in none of them


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page that asked sends back; carried on by the pages behind it.

    Attributes:
        choice: `GO_ON`, `AFRESH`, or empty for none.
        offer: The signed proof that the page was shown here, and whom it was about.
        held: The pass, which a form of a sandbox comes without.
    """

    choice: str = ""
    offer: str = field(default="", repr=False)
    held: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """One notebook, or place in line, that the person may go on with.

    Attributes:
        offer: The signed proof that it was shown.
        since: When it was taken; None if that is unknown, or it is a place.
        address: Its id; empty for a place.
        image: Of its server; empty if that is unknown.
        is_here: Whether it was given to this browser in the network that it is in.
    """

    offer: str = field(repr=False)
    since: Moment | None = None
    address: str = ""
    image: str = ""
    is_here: bool = False


class QuestionHandler(AgreementHandler):
    """A page that leads to a notebook, and asks first where a cookie is from another network."""

    def answered(self) -> Answer:
        """Return what the person chose, if this request proves that they were asked.

        To start fresh they may have been asked in another network, for some have a new address
        in each request. A site may have such an offer too: it gives no more than a link.
        """
        choice, offer = self.from_form("choice"), self.from_form("offer")
        counts = self._offered(offer) is not None
        if choice == AFRESH and self._may_take():
            counts = self._opened(offer) is not None
        if choice not in (GO_ON, AFRESH) or not counts:
            return Answer()
        return Answer(choice, offer, self.from_form("pass"))

    def _may_take(self) -> bool:
        """Whether a link could take a server like this, or our own page asks."""
        by_link = intent.may_take(self.request.headers, self.site.public_url)
        return by_link or self.is_own_page()

    def is_answer_in_vain(self) -> bool:
        """Whether a form of such a page comes too late, or from yet another network."""
        in_sandbox = self.request.headers.get("Origin") == "null"
        return in_sandbox and bool(self.get_body_argument("choice", ""))

    def visitor(self) -> Visitor:
        """Return whose browser asks: whom it went on with, or whom its cookie names here."""
        answer = self.answered()
        if answer.choice == AFRESH:  # who presses twice, or loads again, is one
            # Not those of another network: the offer may be a planter's, for any number of people.
            signed = f"afresh\n{answer.offer}\n{self.network}"
            return Visitor(self.site.orchestrator.tokens.sign(signed), is_new=True)
        chosen = self._offered(answer.offer) if answer.choice else None
        return chosen or super().visitor()

    def said(self, cookie: str, kind: str) -> Iterator[str]:
        """Yield what cookies say that count here, and a pass that a form carries for one."""
        yield from super().said(cookie, kind)
        held = self.ties.open(kind, self.answered().held) if kind == PASS else None
        if held is not None and self.counts(kind, held):
            yield held.value

    def strangers(self) -> list[Visitor]:
        """Return whom cookies from other networks lead to something; one for each notebook.

        All of them, for whoever plants some might else let the visitor's own fall off: only their
        number of servers bounds them, and what fits into a header. The newest come first.

        Browsers send the cookies of longer paths first, so one that is planted may hide no other.
        A wish for a fresh notebook is answer enough: those of the others go on. So is one to go on,
        unless the browser has another notebook here that the question did not show.
        """
        answer = self.answered()
        if answer.choice == GO_ON:
            return self._overlooked(answer)
        if answer.choice or self.from_form("fresh") or not self.visitor().is_new:
            return []
        return sorted(self._each(self.named_elsewhere()), key=self._taken_at, reverse=True)

    def _each(self, visitors: Iterable[Visitor]) -> list[Visitor]:
        """Return one of those who are led to the same, and none who is led nowhere."""
        found: dict[str, Visitor] = {}
        for visitor in filter(self.leads_somewhere, visitors):
            found.setdefault(self._leads_to(visitor), visitor)
        return list(found.values())

    def _overlooked(self, answer: Answer) -> list[Visitor]:
        """Return what to ask about again, the browser's own first; nothing if it was shown.

        The page that asked may be from before the browser had it.
        """
        chosen = self._offered(answer.offer)
        here = self._each(self.named_here())
        if chosen is None or not here:
            return []
        seen = {*self._shown(answer.offer), self._leads_to(chosen)}
        if seen.issuperset(map(self._leads_to, here)):
            return []
        everyone = self._each([*here, chosen, *self.named_elsewhere()])
        others = sorted(everyone[len(here) :], key=self._taken_at, reverse=True)
        return [*here, *others]

    def _taken_at(self, visitor: Visitor) -> float:
        server = self.site.visitors.server_of(visitor)
        return (server.claimed_at or 0.0) if server else 0.0

    def leads_somewhere(self, visitor: Visitor) -> bool:
        """Whether a visitor has, or may have, a server or a place in line."""
        unknown = bool(visitor.server_id) and not self.site.orchestrator.adopted
        return unknown or self.site.arrivals.taking.holds(visitor)

    def can_ask(self) -> bool:
        """Whether a person would see the page: no script asks, as far as a browser says."""
        mode = self.request.headers.get("Sec-Fetch-Mode", "navigate")
        return mode == "navigate" and "application/json" not in self.request.headers.get(
            "Accept", ""
        )

    def ask_which(self, strangers: list[Visitor]) -> None:
        """Finish with the question, whose forms go to the address of this request.

        Args:
            strangers: Whom cookies name; one at least.

        The page of a notebook, of one origin with it, may not lay it under a button of its own.
        """
        self.measured = False  # no script runs there
        self._site_headers()
        self.add_header("Content-Security-Policy", SANDBOX)
        sites = " ".join(embedding.origins(self.site.frame_ancestors)) or "'none'"
        self.add_header("Content-Security-Policy", f"frame-ancestors {sites}")
        here = BETWEEN.join(self._leads_to(s) for s in strangers if self._is_here(s))
        terms = self.site.brand.terms
        self.page(
            "question.html",
            action="",
            choices=[self._choice(stranger, here) for stranger in strangers],
            held=self._held(),
            agree=terms.version if terms and not self.must_agree() else "",
        )

    def _leads_to(self, visitor: Visitor) -> str:
        """Return what tells one notebook, or place in line, from others."""
        server = self.site.visitors.server_of(visitor)
        return server.id if server else visitor.server_id or visitor.key

    def _is_here(self, visitor: Visitor) -> bool:
        return self.site.visitors.is_at_home(visitor, self.network)

    def _choice(self, visitor: Visitor, here: str) -> Choice:
        server = self.site.visitors.server_of(visitor)
        return Choice(
            self._offer(visitor, here),
            since=Moment(server.claimed_at) if server and server.claimed_at else None,
            address=server.id if server else visitor.server_id,
            image=server.image if server else "",
            is_here=self._is_here(visitor),
        )

    def _held(self) -> str:
        """Return the pass that counts here, as its cookie has it."""
        sealed = (s for s in self.sealed(PASS_COOKIE, PASS) if self._counts(s))
        return next((self.ties.seal(PASS, s) for s in sealed), "")

    def _counts(self, held: Sealed) -> bool:
        return self.counts(PASS, held) and self.site.gate.passes.seconds_left(held.value) > 0

    def _offer(self, visitor: Visitor, here: str) -> str:
        until = int(time.time()) + LASTS
        what = f"{until}.{visitor.key}.{visitor.server_id}.{'-'.join(visitor.ties)}.{here}"
        return self.ties.seal(OFFER, Sealed(what, self.ties.added(OFFER, (), self.network)))

    def _offered(self, offer: str) -> Visitor | None:
        """Return whom an offer is about; None if it is none, is old, or was not made here."""
        sealed = self._opened(offer)
        if sealed is None or not self.ties.counts(OFFER, sealed.ties, self.network):
            return None
        _, key, server_id, ties, *_ = sealed.value.split(".")
        return Visitor(key, server_id, ties=tuple(ties.split("-")) if ties else ())

    def _shown(self, offer: str) -> list[str]:
        """Return where those lead that an offer was shown beside and that counted there."""
        sealed = self._opened(offer)
        return sealed.value.rpartition(".")[2].split(BETWEEN) if sealed else []

    def _opened(self, offer: str) -> Sealed | None:
        """Return what an offer says, wherever it was made; None if it is none, or is old."""
        sealed = self.ties.open(OFFER, offer)
        is_good = sealed is not None and int(sealed.value.partition(".")[0]) >= time.time()
        return sealed if is_good else None
