"""How a service presents itself on its own pages: values, and the checks that make them. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from tmpnb.errors import ConfigError
from tmpnb.system.files.plain_text import NoTextError, decoded, refuse_others
from tmpnb.web import markup
from tmpnb.web.markup import BadMarkupError, Text

LONGEST_NAME = 60  # characters
LONGEST_TEXT = 4000  # characters
LONGEST_TERMS = 100_000  # characters
LONGEST_NOTICE = 1000  # characters
LARGEST_LOGO = 100_000  # bytes

_PNG = b"\x89PNG\r\n\x1a\n"
_SVG = re.compile(r"\s*(<\?xml[^>]*>\s*|<!--.*?-->\s*|<!DOCTYPE[^>\[]*>\s*)*<svg[\s>]", re.DOTALL)
_SCRIPT_URL = re.compile(r"(https?://[A-Za-z0-9.-]+(?::\d{1,5})?)/[A-Za-z0-9/._~!$&*+=:@%?-]+\Z")
_ATTRIBUTE = re.compile(r"data-[a-z0-9-]+=[^\s\"'<>]+\Z")


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture, checked."""

    content: bytes = field(repr=False)
    kind: str  # image/svg+xml or image/png
    version: str  # another for another picture


@dataclass(frozen=True, slots=True)
class Terms:
    """What a visitor has to agree to."""

    text: Text = field(repr=False)
    version: str  # another for another text


@dataclass(frozen=True, slots=True)
class Analytics:
    """A script of somebody else's that counts visits of our pages."""

    script: str  # URL
    origin: str  # of that URL, where it may report to
    attributes: tuple[tuple[str, str], ...] = ()  # data-… of its tag


@dataclass(frozen=True, slots=True)
class Brand:
    """What our pages look like and say."""

    name: str = "tmpnb"
    logo: Logo | None = None
    welcome: Text = ()
    footer: Text = ()
    terms: Terms | None = None
    analytics: Analytics | None = None


class Notice:
    """The announcement on all our pages; can be changed while we serve."""

    def __init__(self, source: str = "") -> None:
        self.put(source)

    def put(self, source: str) -> None:
        """Show another from now on; empty: none.

        Raises:
            BadMarkupError: It cannot be shown; the former stays.
        """
        self.text: Text = markup.parse(source, LONGEST_NOTICE)
        self.source = source


def name(given: str) -> str:
    """Return the name of the service.

    Raises:
        ConfigError: It is empty, too long, or not one line of text.
    """
    found = given.strip()
    if not found or len(found) > LONGEST_NAME or not found.isprintable():
        raise ConfigError(f"--brand={given!r}: write a name of 1 to {LONGEST_NAME} characters")
    return found


def text(flag: str, source: str, longest: int = LONGEST_TEXT) -> Text:
    """Return a text of a flag.

    Raises:
        ConfigError: It cannot be shown.
    """
    try:
        return markup.parse(source, longest)
    except BadMarkupError as error:
        raise ConfigError(f"--{flag}: {error}") from error


def notice(source: str) -> Notice:
    """Return the announcement that the service begins with.

    Raises:
        ConfigError: It cannot be shown.
    """
    try:
        return Notice(source)
    except BadMarkupError as error:
        raise ConfigError(f"--announcement: {error}") from error


def logo(path: str, content: bytes) -> Logo:
    """Return the picture in a file.

    Raises:
        ConfigError: It is too large, or neither SVG nor PNG.
    """
    if len(content) > LARGEST_LOGO:
        raise ConfigError(
            f"--logo={path}: {len(content)} bytes are too many for every page; "
            f"make it {LARGEST_LOGO} at most"
        )
    version = hashlib.sha256(content).hexdigest()[:8]
    if content.startswith(_PNG) and content[12:16] == b"IHDR":
        return Logo(content, "image/png", version)
    try:
        refuse_others(content)
    except NoTextError as error:
        raise ConfigError(f"--logo={path}: {error.strerror}") from error
    if _SVG.match(content.decode("utf-8", "replace").removeprefix("\ufeff")):
        return Logo(content, "image/svg+xml", version)
    raise ConfigError(f"--logo={path}: this is neither an SVG nor a PNG picture")


def terms(path: str, content: bytes) -> Terms:
    """Return the terms of use in a file.

    Raises:
        ConfigError: They are empty, too long, or cannot be shown.
    """
    try:
        found = markup.parse(decoded(content), LONGEST_TERMS)
    except NoTextError as error:
        raise ConfigError(f"--terms-file={path}: {error.strerror}") from error
    except BadMarkupError as error:
        raise ConfigError(f"--terms-file={path}: {error}") from error
    if not found:
        raise ConfigError(f"--terms-file={path}: there is no text in it")
    return Terms(found, hashlib.sha256(content).hexdigest()[:16])


def analytics(script: str, attributes: str) -> Analytics | None:
    """Return whose script counts visits; None for nobody's.

    Args:
        script: `https://stats.example/script.js`
        attributes: `data-site=7 data-domain=tmpnb.example`

    Raises:
        ConfigError: One of them is none, or there are attributes without a script.
    """
    if not script:
        if attributes.strip():
            raise ConfigError("--analytics-attributes needs --analytics-script as well")
        return None
    found = _SCRIPT_URL.match(script)
    if not found:
        raise ConfigError(
            f"--analytics-script={script} is not the address of a script; "
            "write https://stats.example/script.js"
        )
    words = attributes.split()
    for word in words:
        if not _ATTRIBUTE.match(word):
            raise ConfigError(
                f"--analytics-attributes: {word!r} is none; write data-site=7, several with "
                "spaces between them"
            )
    pairs = tuple((n, v) for n, _, v in (word.partition("=") for word in words))
    return Analytics(script, found.group(1), pairs)
