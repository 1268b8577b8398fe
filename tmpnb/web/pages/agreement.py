"""The terms of use stand before the first server: whether a visitor has agreed, and the asking."""

from __future__ import annotations

from tmpnb.access.ties import TERMS
from tmpnb.web.asked.after_post import AfterPostHandler

COOKIE = "tmpnb-terms"
REMEMBERED = 365 * 24 * 3600  # seconds


class AgreementHandler(AfterPostHandler):
    """A page whose visitor may have to agree to the terms of use first.

    The form of the terms carries the agreement itself, so it works where a frame of another
    site may set no cookie; the cookie saves from being asked again.
    """

    def must_agree(self) -> bool:
        """Whether there are terms that this visitor has not agreed to yet."""
        terms = self.site.brand.terms
        if terms is None or self.agreed_now:
            return False
        return terms.version not in self.said(COOKIE, TERMS)

    @property
    def agreed_now(self) -> str:
        """The version of the terms that this request, or its form, agrees to; empty for none."""
        terms = self.site.brand.terms
        agreed = self.from_form("agree")
        return agreed if terms is not None and agreed == terms.version else ""

    def note_agreement(self) -> None:
        """Let the browser say next time that its visitor has agreed."""
        if self.agreed_now:
            value = self.seal(COOKIE, TERMS, self.agreed_now)
            self.set_lasting_cookie(COOKIE, value, path="/", age=REMEMBERED)

    def ask_to_agree(self, spawn_url: str) -> None:
        """Finish with the terms and a button that goes on to `spawn_url`."""
        terms = self.site.brand.terms
        assert terms is not None  # noqa: S101 - `must_agree` has said so
        self.page(
            "terms.html",
            spawn_url=spawn_url,
            terms_text=terms.text,
            agree=terms.version,
            fresh=self.from_form("fresh"),
        )
