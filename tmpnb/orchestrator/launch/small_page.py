"""The page for phones and frames: which images have Notebook 7, whose pages fit into them."""

from __future__ import annotations

import logging
import re

from tmpnb.core.server import NotebookServer
from tmpnb.errors import UnreachableError
from tmpnb.system.http.client import LISTING, Client

log = logging.getLogger(__name__)

TREE = "tree"  # Notebook 7's list of files, below the base URL
TIMEOUT = 5.0  # seconds
# Other programs answer whatever they are asked, and classic notebooks have a page of this name.
_OF_NOTEBOOK_7 = re.compile(rb'"notebookPage":\s*"tree"')


class SmallPages:
    """Asks the first ready server of each image, and remembers what it says."""

    def __init__(self, client: Client, path: str) -> None:
        """Keep what is needed.

        Args:
            client: Who asks.
            path: The page, below the base URL; empty: nobody wants to know of it.
        """
        self._client, self._path = client, path
        self._found: dict[str, bool] = {}  # by image

    def of(self, image: str) -> str:
        """Return the page of an image's servers, below the base URL; empty for none, or unknown."""
        return self._path if self._found.get(image) else ""

    async def look(self, server: NotebookServer, token: str) -> None:
        """Ask a ready server, unless it is known what its image has.

        Args:
            server: Answers already.
            token: Opens it.
        """
        if not self._path or server.image in self._found:
            return
        self._found[server.image] = False  # so that no other is asked meanwhile
        url = f"{server.address}{server.base_url}{self._path}"
        headers = {"Authorization": f"token {token}"}
        try:
            answer = await self._client.fetch(url, timeout=TIMEOUT, headers=headers, most=LISTING)
        except UnreachableError as error:
            log.debug("pages of server %s are not known: %s", server.id, error)
            del self._found[server.image]  # the next one is asked
        else:
            has = answer.code == 200 and bool(_OF_NOTEBOOK_7.search(answer.body))
            self._found[server.image] = has
            log.debug("small page image=%s: %s", server.image or "-", has)
