"""Redirect after a POST, so that reload, Back and Forward send no form again."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from tmpnb.core.links import FORM_KEY
from tmpnb.web.asked.browser import BrowserHandler

# What the pages that lead to a notebook carry on. The passphrase itself is not among it.
CARRIED = ("ticket", "agree", "fresh", "choice", "offer", "pass", "token", "server")
# What is read of it wherever a request comes from: the page that asks has no origin, so what
# follows its form seems to come from elsewhere. The signed offer says what the choice is worth.
OF_QUESTION = frozenset({"choice", "offer", "pass", "wrong"})


class AfterPostHandler(BrowserHandler):
    """A page that answers a form by way of a redirect, and knows afterwards what the form said.

    Whoever has the address of such a page can send others there. So the form is that of the
    visitor only where our own page, or no page, leads to it.
    """

    def from_form(self, name: str) -> str:
        """Return a field of the form of this request, or of the one that led here."""
        kept = self.kept(name) if name in OF_QUESTION or not self.is_led_astray() else ""
        return self.get_body_argument(name, "") or kept

    def kept(self, name: str) -> str:
        """Return a field of the form of this address, whoever leads the visitor here."""
        return (self._form() or {}).get(name, "")

    def has_come_from_form(self) -> bool:
        """Whether a form that is still remembered led to this address."""
        return self._form() is not None and not self.is_led_astray()

    def is_led_astray(self) -> bool:
        """Whether another site, as far as a browser says, leads to the address of a form."""
        return FORM_KEY in self.request.query_arguments and not self.is_own_page()

    def show_after_post(self, address: str, **more: str) -> None:
        """Lead a form on to the page that is its answer.

        Args:
            address: Of the page, with the query of its link.
            more: What the page has to know besides the fields of the form.
        """
        fields = {name: self.from_form(name) for name in CARRIED} | more
        key = self.site.forms.keep(self.network, fields)
        if key:
            address += f"{'&' if '?' in address else '?'}{FORM_KEY}={quote(key)}"
        self.redirect(address, status=303)

    def _form(self) -> Mapping[str, str] | None:
        return self.site.forms.find(self.get_query_argument(FORM_KEY, ""), self.network)
