"""What programs can ask of the service, as an OpenAPI 3.1 document. Pure."""

from __future__ import annotations

from typing import Any

from tmpnb.web.openapi.pages import pages
from tmpnb.web.openapi.programs import programs
from tmpnb.web.openapi.schemas import SCHEMAS

DESCRIPTION = """\
Temporary notebook servers: `POST /api/spawn` gives one, and its token opens both
`/api/servers/{id}` and the notebook server itself at `base_url`, which speaks the API of
Jupyter Server.

Errors have one shape; 429 `client_limit` may come from any address whose answer may take long:
one that takes a server, waits for one, or sends its files. A slash at the end of `/api/spawn`,
`/api/stats` and `/stats` is taken as well. What gives out notebooks does so under the names of
the service, where they are known: under another one `GET` gets 307 and `POST` 421 with the right
one, or both 403 if there is no address. Where `GET` is answered by a page, by the numbers or
by health, so is `HEAD`; `OPTIONS` is answered everywhere. Times are Unix times in seconds.
"""

_SCHEMES: dict[str, Any] = {
    "serverToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The `token` of the server in the path, as `/api/spawn` gave it. "
        "`Authorization: token …` is taken as well.",
    },
    "apiToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The operator's API_AUTH_TOKEN, where there is one. "
        "`Authorization: token …` is taken as well.",
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
            {"name": "servers", "description": "Take a notebook server, keep it, end it."},
            {"name": "service", "description": "The pool in numbers, and how the service is."},
            {"name": "assets", "description": "Files that pages of other sites load."},
            {"name": "pages", "description": "For people."},
        ],
        "paths": {**programs(token_wanted=token_wanted), **({} if token_wanted else pages())},
        "components": {"schemas": SCHEMAS, "securitySchemes": _SCHEMES},
    }
