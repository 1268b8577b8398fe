"""The operator's settings of how the service presents itself, and the files they name."""

from __future__ import annotations

import os
from pathlib import Path

from traitlets import Unicode
from traitlets.config import Configurable

from tmpnb.errors import ConfigError
from tmpnb.system.files import plain_file
from tmpnb.system.files.plain_file import FileTooLargeError
from tmpnb.web import brand
from tmpnb.web.brand import LARGEST_LOGO, LONGEST_TERMS, Brand, Notice


class Branding(Configurable):
    """Name, picture and texts of the service's own pages; notebooks keep theirs."""

    brand = Unicode("tmpnb", help="Name of the service on its pages.").tag(config=True)
    logo = Unicode("", help="File with the service's picture, SVG or PNG.").tag(config=True)
    welcome = Unicode(
        "",
        help="""Text on the page that starts a notebook. Empty lines part paragraphs, and
        [words](https://…) is a link.""",
    ).tag(config=True)
    footer = Unicode("", help="Text at the foot of every page, with links as in --welcome.").tag(
        config=True
    )
    announcement = Unicode(
        "",
        help="""Text above every page, with links as in --welcome. While the service runs:
        PUT /api/announcement on the admin port.""",
    ).tag(config=True)
    terms_file = Unicode(
        "",
        help="""File with terms of use that a visitor agrees to before the first notebook; plain
        text, with links as in --welcome.""",
    ).tag(config=True)
    analytics_script = Unicode(
        "",
        help="""Script that counts visits of the pages: https://stats.example/script.js. None is
        loaded without it.""",
    ).tag(config=True)
    analytics_attributes = Unicode(
        "", help="Attributes of that script's tag: data-site=7 data-domain=tmpnb.example"
    ).tag(config=True)

    def checked(self) -> Brand:
        """Return the settings as a value; reads the files.

        Raises:
            ConfigError: One of them cannot be; in one line.
        """
        return Brand(
            name=brand.name(self.brand),
            logo=brand.logo(self.logo, _content("logo", self.logo, LARGEST_LOGO))
            if self.logo
            else None,
            welcome=brand.text("welcome", self.welcome),
            footer=brand.text("footer", self.footer),
            terms=brand.terms(
                self.terms_file, _content("terms-file", self.terms_file, 4 * LONGEST_TERMS)
            )
            if self.terms_file
            else None,
            analytics=brand.analytics(self.analytics_script, self.analytics_attributes),
        )

    def notice(self) -> Notice:
        """Return the announcement that the service begins with.

        Raises:
            ConfigError: It cannot be shown; in one line.
        """
        return brand.notice(self.announcement)


def _content(flag: str, path: str, largest: int) -> bytes:
    """Return what is in a file, and of one that is too large more than may be."""
    try:
        return plain_file.read(Path(path), largest)
    except FileTooLargeError:
        return b"x" * (largest + 1)  # whose reader says how large it may be
    except OSError as error:
        raise ConfigError(f"--{flag}={path}: cannot be read: {error.strerror}") from error


def templates_in(given: str) -> Path | None:
    """Return the operator's directory of templates; None for none.

    Raises:
        ConfigError: It is no directory, or cannot be read.
    """
    if not given:
        return None
    path = Path(given).resolve()
    if not os.access(path / ".", os.R_OK | os.X_OK):  # with the dot, only of a directory
        raise ConfigError(f"--template-path={path}: there is no such directory to be read")
    return path
