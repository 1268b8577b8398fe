"""`/api/openapi.json`: what programs can ask, told to programs."""

from __future__ import annotations

from tmpnb.web.base import BaseHandler
from tmpnb.web.openapi import document


class OpenAPIHandler(BaseHandler):
    """`GET /api/openapi.json`; needs no token, for there is no secret in it."""

    async def get(self) -> None:
        """Answer with the document of the service as it is set up."""
        self.write_json(
            document(
                version=self.site.version,
                server=self.absolute(""),
                token_wanted=self.site.api_token is not None,
            )
        )

    head = get
