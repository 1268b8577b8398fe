"""The API as an OpenAPI 3.1 document. Pure."""

from __future__ import annotations

from typing import Any

from tmpnb.web.openapi.pages import pages
from tmpnb.web.openapi.programs import programs
from tmpnb.web.openapi.schemas import SCHEMAS

DESCRIPTION = """\
Temporary notebook servers: `POST /api/spawn` returns one, and its token opens both
`/api/servers/{id}` and the notebook server itself at `base_url`, which speaks the API of
Jupyter Server.

All errors have the same shape. 429 `client_limit` may come from any request that can take long: one
that takes a server, waits for one, or downloads its files. `/api/spawn`, `/api/stats` and `/stats`
also work with a trailing slash. Notebooks are served only under the service's own host names, where
they are known: under any other name `GET` gets 307 and `POST` gets 421 with the right one, or both
get 403 if there is no address. `HEAD` works wherever `GET` returns a page, the statistics or the
health; `OPTIONS` works everywhere. Times are Unix times in seconds.
"""

_SCHEMES: dict[str, Any] = {
    "serverToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The `token` of the server in the path, as returned by `/api/spawn`. "
        "`Authorization: token …` works too.",
    },
    "apiToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The operator's API_AUTH_TOKEN, if set. `Authorization: token …` works too.",
    },
}


def document(*, version: str, server: str, token_wanted: bool) -> dict[str, Any]:
    """Return the document of a service as it is set up.

    Args:
        version: Of tmpnb.
        server: The address under which the client finds the service.
        token_wanted: Whether programs need the API token; then there are no pages.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tmpnb",
            "summary": "Temporary notebooks on demand",
            "description": DESCRIPTION,
            "version": version,
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": server}],
        "tags": [
            {"name": "servers", "description": "Take, keep and stop notebook servers."},
            {"name": "service", "description": "Pool statistics and service health."},
            {"name": "assets", "description": "Files for pages of other sites."},
            {"name": "pages", "description": "For people."},
        ],
        "paths": {**programs(token_wanted=token_wanted), **({} if token_wanted else pages())},
        "components": {"schemas": SCHEMAS, "securitySchemes": _SCHEMES},
    }
