"""The programs' side: take a server, read the numbers, drain the pool, change its image."""

from __future__ import annotations

import re

from tornado.web import HTTPError

from tmpnb.core.server import base_url
from tmpnb.errors import PoolEmptyError
from tmpnb.system import untrusted_json
from tmpnb.web.admin.operator import OperatorHandler
from tmpnb.web.asked.admission import knock
from tmpnb.web.asked.browser import BrowserHandler
from tmpnb.web.base import BaseHandler
from tmpnb.web.pages.info import stats
from tmpnb.web.pages.spawn import RETRY_WHEN_FULL, seconds

LONGEST_WAIT = 60.0  # seconds
FROM_A_FOREIGN_PAGE = (
    "A page of this site may not take notebooks here, unless the operator names it in "
    "--allow-origin."
)
EXAMPLE = '{"image": "name:tag"}'
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")


class SpawnAPIHandler(BrowserHandler):
    """`POST /api/spawn`."""

    lasting = frozenset({"POST"})

    async def post(self) -> None:
        """Take a server: `{"url", "id", "token", "base_url", "expires_at"}`.

        429 `{"status": "full"}` when none is ready, or will be within `?wait=` seconds, 60
        at most. `url` opens in a browser, with the token in its query; `base_url` is the
        same without it. Both are absolute. 429 `client_limit` when the client has as many
        as one may; who sends the API's token is not limited. A page of another site gets 403
        unless it may read our answers, or it could spend what its readers may take here.
        """
        self.require_token(self.site.api_token)
        if self.site.api_token is None and not self._is_welcome():
            raise HTTPError(403, reason=FROM_A_FOREIGN_PAGE)
        admission = await self.site.gate.admit(
            knock(self, is_program=self.site.api_token is not None)
        )
        patience = min(seconds(self.get_query_argument("wait", "0")), LONGEST_WAIT)
        try:
            arrival = await self.site.arrivals.plain(admission, self.presence, patience)
        except PoolEmptyError as error:
            self.set_header("Retry-After", str(RETRY_WHEN_FULL))
            reason = {"code": "pool_empty", "message": str(error)}
            self.write_json({"status": "full", "error": reason}, 429)
            return
        orchestrator = self.site.orchestrator
        server = orchestrator.claims.live(arrival.server_id)
        self.write_json(
            {
                "url": self.absolute_on_server(arrival.server_id, arrival.url),
                "id": arrival.server_id,
                "token": arrival.token,
                "base_url": self.absolute_on_server(arrival.server_id, base_url(arrival.server_id)),
                "expires_at": server and self.site.lifetimes.expires_at(server),
            }
        )

    def _is_welcome(self) -> bool:
        """Whether a program sends this, our own page, or one of a site that the operator named."""
        origin = self.request.headers.get("Origin", "")
        return self.is_own_page() or self.site.cors.names(origin)


class StatsHandler(BaseHandler):
    """`GET /stats` and `GET /api/stats`."""

    def wants_json(self) -> bool:
        """Whether the client is a program: always, for people there is `/info`."""
        return True

    async def get(self) -> None:
        """Answer with the pool in numbers."""
        self.require_token(self.site.api_token)
        self.write_json(stats(self.site))

    head = get


class PoolHandler(OperatorHandler):
    """`DELETE /api/pool`, on the admin port."""

    lasting = frozenset({"POST"})  # a server of another image is started first

    async def delete(self) -> None:
        """Replace all unclaimed servers, a few at a time: `{"drained": n}`.

        Visitors keep theirs, and ready servers stay ready until others are.
        """
        self.write_json({"drained": self.site.orchestrator.rollout.drain()})

    async def post(self) -> None:
        """Roll to another image, `{"image"}`: `{"image", "drained": n}` once it has proved itself.

        One server of it is started first. If that does not become ready, the answer is
        409 with its last words, and the pool stays as it is.
        """
        image = _image(self.request.body)
        drained = await self.site.orchestrator.rollout.to(image)
        self.write_json({"image": image, "drained": drained})


def is_image(text: str) -> bool:
    """Whether a text may be the name of an image."""
    return _IMAGE.fullmatch(text) is not None


def _image(body: bytes) -> str:
    """Return the image a request asks for.

    Raises:
        HTTPError: 400, with what is wrong.
    """
    try:
        asked = untrusted_json.loads(body)
    except ValueError as error:
        raise HTTPError(400, reason=f"The body is not JSON; send {EXAMPLE}") from error
    if not isinstance(asked, dict) or set(asked) != {"image"}:
        raise HTTPError(400, reason=f"The body must have the key image alone; send {EXAMPLE}")
    image = asked["image"]
    if not isinstance(image, str) or not is_image(image):
        raise HTTPError(400, reason=f"This is not the name of an image; send {EXAMPLE}")
    return image
