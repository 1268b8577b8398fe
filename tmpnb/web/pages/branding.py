"""The operator's picture and terms for visitors, and the announcement for the operator."""

from __future__ import annotations

from tornado.web import HTTPError

from tmpnb.system import untrusted_json
from tmpnb.web.admin.operator import OperatorHandler
from tmpnb.web.base import BaseHandler
from tmpnb.web.brand import Terms
from tmpnb.web.markup import BadMarkupError
from tmpnb.web.pages.embed import HOUR

EXAMPLE = '{"text": "Down on Friday from 9 to 10."}'


class LogoHandler(BaseHandler):
    """`GET /logo`: the operator's picture."""

    for_pages_of = "cross-origin"

    async def get(self) -> None:
        """Answer with the picture; 404 where there is none."""
        logo = self.site.brand.logo
        if logo is None:
            raise HTTPError(404)
        self.set_header("Content-Type", logo.kind)
        self.set_header("Cache-Control", f"public, max-age={HOUR}")
        # A picture that is opened by itself is a page of this origin.
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
        self.set_header("Content-Security-Policy", policy)
        self.finish(logo.content)

    head = get


class TermsHandler(BaseHandler):
    """`GET /terms`: what a visitor agrees to."""

    measured = True

    def terms(self) -> Terms:
        """Return the terms of the service.

        Raises:
            HTTPError: 404, there are none.
        """
        if self.site.brand.terms is None:
            raise HTTPError(404)
        return self.site.brand.terms

    async def get(self) -> None:
        """Show them, without a button."""
        self.page("terms.html", terms_text=self.terms().text, spawn_url="", agree="", fresh="")

    head = get


class AnnouncementHandler(OperatorHandler):
    """`/api/announcement`, on the admin port: what stands above every page."""

    async def get(self) -> None:
        """Answer with what is shown now: `{"text"}`, empty for nothing."""
        self.write_json({"text": self.site.notice.source})

    head = get

    async def put(self) -> None:
        """Show `{"text"}` from now on; answer as `GET` does."""
        try:
            self.site.notice.put(_text(self.request.body))
        except BadMarkupError as error:
            raise HTTPError(400, reason=f"This cannot be shown: {error}") from error
        self.write_json({"text": self.site.notice.source})

    async def delete(self) -> None:
        """Show none: 204."""
        self.site.notice.put("")
        self.set_status(204)
        self.finish()


def _text(body: bytes) -> str:
    """Return the text a request wants to be shown.

    Raises:
        HTTPError: 400, with what is wrong.
    """
    try:
        asked = untrusted_json.loads(body)
    except ValueError as error:
        raise HTTPError(400, reason=f"The body is not JSON; send {EXAMPLE}") from error
    if not isinstance(asked, dict) or set(asked) != {"text"} or not isinstance(asked["text"], str):
        raise HTTPError(400, reason=f"The body must have the key text alone; send {EXAMPLE}")
    return asked["text"]
