"""The page templates, each of which the operator can override."""

from __future__ import annotations

from pathlib import Path

from tornado.template import Loader, ParseError, Template

from tmpnb import plain_file
from tmpnb.errors import ConfigError
from tmpnb.logs import on_one_line

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
