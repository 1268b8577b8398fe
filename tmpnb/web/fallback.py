"""The answer for addresses that mean nothing."""

from __future__ import annotations

from tornado.web import HTTPError

from tmpnb.web.base import BaseHandler


class NotFoundHandler(BaseHandler):
    """Any other address."""

    async def _nothing(self) -> None:
        raise HTTPError(404)

    get = head = post = put = patch = delete = _nothing
