"""What authors need to put a notebook into their page: how, a badge, and a script."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tmpnb.core.origins import canonical
from tmpnb.web.asked.named import NamedHandler
from tmpnb.web.base import BaseHandler, Site
from tmpnb.web.embedding import BadEmbeddingError, Embedding, embedding, may_embed, origins

STATIC = Path(__file__).parent.parent / "static"
DAY = 86_400  # seconds
HOUR = 3600  # seconds
MOST_PAGES = 16  # frames in one another


class EmbedHandler(NamedHandler):
    """`GET /embed`: the page for authors."""

    measured = True

    async def get(self) -> None:
        """Show what to paste for `path`, `title` and `height` of the query."""
        asked = {
            name: self.get_query_argument(name, "", strip=False)
            for name in ("path", "title", "height")
        }
        self.clear_header("Permissions-Policy")  # the notebook that it shows has its own needs
        site, problem = self.absolute(""), ""
        try:
            wanted = embedding(site, **asked)
        except BadEmbeddingError as error:
            wanted, problem = Embedding(site), str(error)
        self.page(
            "embed.html",
            400 if problem else 200,
            asked=asked,
            wanted=wanted,
            problem=problem,
            origins=origins(self.site.frame_ancestors),
            is_https=self.is_https,
        )

    head = get


class EmbeddableHandler(BaseHandler):
    """`GET /api/embed?page=<origin>`: whether a page may show notebooks, and which ones may.

    Asked by `embed.js` from the page itself, as browsers do not tell a page that they show none.
    """

    for_pages_of = "cross-origin"

    async def get(self) -> None:
        """Answer for all of the pages that a frame is in, the innermost first."""
        asked = self.get_query_arguments("page")[: MOST_PAGES + 1]
        allowed = self.site.frame_ancestors
        own = canonical(self.absolute(""))
        may = all(canonical(page) == own or may_embed(allowed, page) for page in asked)
        self.set_header("Access-Control-Allow-Origin", "*")
        sites = list(origins(allowed))
        self.write_json({"allowed": may and len(asked) <= MOST_PAGES, "sites": sites})

    head = get


class AssetHandler(BaseHandler):
    """A file that pages of other sites load from us: `/badge.svg` and `/embed.js`."""

    for_pages_of = "cross-origin"

    def initialize(self, site: Site, name: str, seconds: int) -> None:  # type: ignore[override]  # the table gives more
        """Take which file it is, and how long it may be kept."""
        super().initialize(site)
        self._name, self._seconds = name, seconds

    async def get(self) -> None:
        """Answer with the file."""
        kind = "image/svg+xml" if self._name.endswith(".svg") else "text/javascript"
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.set_header("Cache-Control", f"public, max-age={self._seconds}")
        self.set_header("Access-Control-Allow-Origin", "*")
        self.finish(_content(self._name))

    head = get


@cache
def _content(name: str) -> bytes:
    return (STATIC / name).read_bytes()
