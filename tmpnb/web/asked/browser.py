"""A browser that is known again: by cookies, as far as they count in the network it is in."""

from __future__ import annotations

from collections.abc import Iterator

from tmpnb.access.gate import Knock
from tmpnb.access.ties import PASS, Sealed, Ties
from tmpnb.visitors.identity import COOKIE, COOKIE_PATH, Visitor
from tmpnb.web.asked import cookie_names
from tmpnb.web.asked.cookie_names import GUARD
from tmpnb.web.asked.named import NamedHandler


class BrowserHandler(NamedHandler):
    """A request whose cookies of ours matter.

    Each of them is signed together with the networks in which it counts. Where it came from
    another one, it is as if it were absent: any server under our host may have set it.
    """

    network = ""  # that the request comes from, as limits count clients

    async def prepare(self) -> None:
        """Find out where the request comes from."""
        super().prepare()
        forwarded = self.request.headers.get("X-Forwarded-For", "")
        knock = Knock(peer=self.request.remote_ip or "", forwarded=forwarded)
        self.network = (await self.site.gate.client(knock)).key

    @property
    def ties(self) -> Ties:
        """Opens and seals cookies."""
        return Ties(self.site.orchestrator.tokens)

    def told(self, kind: str) -> Iterator[str]:
        """Yield what cookies of a kind say, ours first; each has to be checked by its signature."""
        header = self.request.headers.get("Cookie", "")
        return cookie_names.values(kind, self.cookie_name(kind), header)

    def sealed(self, cookie: str, kind: str) -> Iterator[Sealed]:
        """Yield what cookies of ours say, wherever they count.

        Args:
            cookie: The kind in their names.
            kind: For which they were sealed.
        """
        ties = self.ties
        return (found for text in self.told(cookie) if (found := ties.open(kind, text)))

    def said(self, cookie: str, kind: str) -> Iterator[str]:
        """Yield what those cookies of ours say that count here; arguments as of `sealed`."""
        found = self.sealed(cookie, kind)
        return (s.value for s in found if self.counts(kind, s))

    def counts(self, kind: str, sealed: Sealed) -> bool:
        """Whether what was sealed counts here; an invitation, which any holder may use, always."""
        if kind == PASS and self.site.gate.passes.is_invite(sealed.value):
            return True
        return self.ties.counts(kind, sealed.ties, self.network)

    def seal(self, cookie: str, kind: str, value: str) -> str:
        """Return the value of a cookie that counts here, and where the one before it does."""
        before = next(self.sealed(cookie, kind), Sealed(""))
        ties = self.ties.added(kind, before.ties, self.network)
        return self.ties.seal(kind, Sealed(value, ties))

    @property
    def _visitor_cookie(self) -> tuple[str, str]:
        """The kind and the path of the cookie that says who a visitor is.

        Where servers have hosts below ours, their pages can set cookies for ours as well. They
        cannot set one that is guarded.
        """
        guarded = self.site.subdomains is not None and self.is_https
        return (f"{GUARD}{COOKIE}", "/") if guarded else (COOKIE, COOKIE_PATH)

    def is_told_all(self) -> bool:
        """Whether a browser sends every cookie that says who a visitor is to this address.

        To others it sends none of ours, but all that somebody has set for them.
        """
        path, asked = self._visitor_cookie[1], self.request.path
        return path in ("/", asked) or asked.startswith(f"{path}/")

    def visitor(self) -> Visitor:
        """Return whose browser asks; somebody new unless a cookie of ours counts here."""
        return next(self.named_here(), None) or self.site.visitors.read(None)

    def named_here(self) -> Iterator[Visitor]:
        """Yield whom cookies of ours name that count here, ours first."""
        visitors = self.site.visitors
        return (v for v in self._named() if visitors.is_at_home(v, self.network))

    def named_elsewhere(self) -> Iterator[Visitor]:
        """Yield whom cookies of ours name that do not count here."""
        visitors = self.site.visitors
        return (v for v in self._named() if not visitors.is_at_home(v, self.network))

    def _named(self) -> Iterator[Visitor]:
        visitors = self.site.visitors
        return map(visitors.read, filter(visitors.is_ours, self.told(self._visitor_cookie[0])))

    def remember(self, visitor: Visitor) -> None:
        """Let the browser say next time who it is; in a foreign frame only https allows that."""
        kind, path = self._visitor_cookie
        age = int(self.site.remember_visitors)
        value = self.site.visitors.write(visitor, self.network)
        self.set_lasting_cookie(kind, value, path=path, age=age)

    def keep(self, cookie: str, value: str, age: int) -> None:
        """Set a cookie of ours for so many seconds; no notebook server ever sees it."""
        self.set_lasting_cookie(cookie, value, path=COOKIE_PATH, age=age)
