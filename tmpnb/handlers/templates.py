"""Templates of the package, each of which an operator's directory may override."""

from __future__ import annotations

from pathlib import Path

from tornado.template import Loader, Template

from tmpnb import plain_file

LARGEST = 1024 * 1024  # bytes of a template


class OverridingLoader(Loader):
    """Looks for a template in the operator's directory first."""

    def __init__(self, own: Path, override: Path | None) -> None:
        super().__init__(str(own))
        self._override = override

    def _create_template(self, name: str) -> Template:
        override = self._override / name if self._override else None
        if override is not None and override.is_file():
            return Template(plain_file.read(override, LARGEST), name=name, loader=self)
        return super()._create_template(name)
