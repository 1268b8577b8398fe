"""The static files and the page templates, each of which the operator can override."""

from __future__ import annotations

from pathlib import Path

from tornado.template import Loader, ParseError, Template
from tornado.web import HTTPError, StaticFileHandler

from tmpnb.errors import ConfigError
from tmpnb.system.files import plain_file
from tmpnb.system.logs.redaction import on_one_line
from tmpnb.web.base import BaseHandler, Site

HERE = Path(__file__).parent
STATIC, TEMPLATES = HERE / "static", HERE / "templates"


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


LARGEST = 1024 * 1024  # bytes of a template


class OverridingLoader(Loader):
    """Looks for a template in the operator's directory first."""

    def __init__(self, own: Path, override: Path | None) -> None:
        super().__init__(str(own))
        self._override = override

    def _create_template(self, name: str) -> Template:
        override = self._override / name if self._override else None
        if override is not None and override.is_file():
            return Template(plain_file.text(override, LARGEST), name=name, loader=self)
        return super()._create_template(name)


def check(own: Path, override: Path) -> None:
    """Check that the operator's templates can be read, before a visitor requests one.

    Args:
        own: Where those of the package are.
        override: The operator's directory.

    Raises:
        ConfigError: One cannot; in one line.
    """
    loader = OverridingLoader(own, override)
    for name in sorted(path.name for path in own.iterdir()):
        file = override / name
        if not file.is_file():
            continue
        try:
            loader.load(name)
        except (OSError, SyntaxError, ParseError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"--template-path: {file}: {on_one_line(str(reason))}") from error
