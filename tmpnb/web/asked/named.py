"""What gives out notebooks, or leads to them: under the service's own names alone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from http import HTTPStatus

from tornado.web import Finish, HTTPError

from tmpnb.system.logs.redaction import on_one_line
from tmpnb.web.base import BaseHandler

log = logging.getLogger(__name__)

LONGEST_NAME = 255  # characters of one that the log shows
MOST_TOLD = 20  # names that the log tells of: anybody may make some up
ELSEWHERE = "The service does not go by the name that was asked for. It is at {url}: ask there."
NOT_A_NAME = (
    "The service does not go by this name, which a web page may have made to lead here. Ask for "
    "127.0.0.1, or another address. Whoever runs it: set --public-url to where visitors find it, "
    "or name this one in --public-hosts."
)


class NamedHandler(BaseHandler):
    """A request that counts only if it names this service, by `Host`.

    Attributes:
        by_any_name: Whether the name does not matter, as where a secret is needed that no page of
            another name has.
    """

    by_any_name = False

    def prepare(self) -> Awaitable[None] | None:
        """Send those on who ask for another name, if it is known where to.

        Raises:
            HTTPError: 421, such a request would change something; 403, we have no address.
        """
        if not (self.by_any_name or self.request.method == "OPTIONS" or self._is_named()):
            self._site_headers()
            self._send_on()
        return super().prepare()

    def _is_named(self) -> bool:
        asked = self.request.headers.get("Host", "")
        return self.site.hosts.have(asked) or self.has_token(self.site.api_token)

    def _send_on(self) -> None:
        self._tell()
        if not (self.site.public_url or self.site.subdomains):
            raise HTTPError(403, reason=NOT_A_NAME)
        url = self.absolute("")
        if self.request.method not in ("GET", "HEAD"):
            raise HTTPError(421, reason=ELSEWHERE.format(url=url))
        self.redirect(url + (self.request.uri or "/"), status=HTTPStatus.TEMPORARY_REDIRECT)
        raise Finish

    def _tell(self) -> None:
        """Tell the operator once: a front server that asks so leads its visitors in a circle."""
        asked = on_one_line(self.request.headers.get("Host", ""))[:LONGEST_NAME]
        told = self.settings.setdefault("told_names", set())
        if asked not in told and len(told) < MOST_TOLD:
            told.add(asked)
            log.warning(
                "no notebooks are given out under the name %s; if it is yours, as one that a front "
                "server asks by, name it in --public-hosts",
                asked,
            )
