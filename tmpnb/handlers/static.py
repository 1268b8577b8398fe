"""The static files of our pages: styles, scripts, images."""

from __future__ import annotations

from tornado.web import HTTPError, StaticFileHandler

from tmpnb.handlers.base import BaseHandler, Site


class PackageFileHandler(BaseHandler, StaticFileHandler):
    """A file of the package, with the headers and errors that all our answers have."""

    for_pages_of = "cross-origin"  # ours too, where a frame keeps them in a sandbox

    def initialize(self, site: Site, path: str) -> None:  # type: ignore[override]  # both parents' values
        """Take what the URL table gives."""
        BaseHandler.initialize(self, site)
        StaticFileHandler.initialize(self, path)

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        """Return where a file is.

        Raises:
            HTTPError: 404, there can be none; 403, it is outside.
        """
        if "\0" in path:
            raise HTTPError(404)
        return super().get_absolute_path(root, path)

    def set_extra_headers(self, path: str) -> None:
        """Let browsers cache a file: for years with its version, else with revalidation."""
        del path
        if "v" not in self.request.arguments:
            self.set_header("Cache-Control", "no-cache")

    def get_content_type(self) -> str:
        """Return the type of a file, with the encoding that all our texts have."""
        kind = super().get_content_type()
        is_text = kind.startswith("text/") or kind == "application/javascript"
        return f"{kind}; charset=utf-8" if is_text else kind
