"""Request a new server's page once, so that no visitor has to wait for one-time work."""

from __future__ import annotations

import logging

from tmpnb.errors import UnreachableError
from tmpnb.http import LISTING, Client
from tmpnb.server import NotebookServer

log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds
VIEWS = frozenset({"lab", "tree"})  # other pages may run what they show when they are asked for


def first_page(redirect_uri: str) -> str:
    """Return the path, below the base URL, of the page that can be asked for without effect.

    Args:
        redirect_uri: Where visitors land.

    Returns:
        Empty if that page may do more than show something.
    """
    path = redirect_uri.partition("?")[0].strip("/")
    return path if path.partition("/")[0] in VIEWS else ""


async def warm_up(
    client: Client, server: NotebookServer, path: str, token: str, timeout: float = TIMEOUT
) -> None:
    """Make a server render its page; whether it can is not judged here.

    The first one takes JupyterLab 15 to 28 ms of computing, each further one about 5.

    Args:
        client: Who asks.
        server: Answers already.
        path: The page, below the base URL.
        token: Opens it.
        timeout: Seconds for the answer.
    """
    url = f"{server.address}{server.base_url}{path}"
    try:
        answer = await client.fetch(
            url,
            timeout=timeout,
            headers={"Authorization": f"token {token}"},
            most=LISTING,
        )
    except UnreachableError as error:
        log.debug("server %s has not rendered its first page: %s", server.id, error)
    else:
        log.debug("server %s rendered its first page: HTTP %d", server.id, answer.code)
