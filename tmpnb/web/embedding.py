"""How a notebook is put into somebody's page: who may, and what the author pastes. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from tmpnb.core import links
from tmpnb.core.links import BadLinkError
from tmpnb.core.origins import canonical
from tmpnb.core.origins import source as without_own_port

TITLE = "Live notebook"
HEIGHT = 600  # pixels
LOWEST, HIGHEST = 200, 2000  # pixels
LONGEST_TITLE = 200  # characters
BADGE = "launch notebook"  # in words
ALLOW = "clipboard-read; clipboard-write; fullscreen"
LOCAL = "; local-network-access"  # what Chromium wants of a public page that frames a private one

_HOST = re.compile(r"https?://(\[[0-9A-Fa-f:.]{2,45}\]|[^/:?#\[\]]{1,253})(?::[0-9]*)?\Z")

# Left as the author wrote it; what a badge in Markdown or an attribute would trip over is not.
_SAFE = "/%?&=+,;:@~!$*-._"


class BadEmbeddingError(BadLinkError):
    """What an author asks for cannot be embedded."""


def origins(frame_ancestors: str) -> tuple[str, ...]:
    """Return the sites that may show notebooks, besides ourselves.

    Args:
        frame_ancestors: As the Content-Security-Policy has them.
    """
    return tuple(source for source in frame_ancestors.split() if source != "'self'")


def may_embed(frame_ancestors: str, origin: str) -> bool:
    """Whether a page of `origin` may show notebooks, by the rules of a browser."""
    page = canonical(origin)
    return any(_pattern(source).fullmatch(page) for source in origins(frame_ancestors))


def _pattern(source: str) -> re.Pattern[str]:
    if source == "*":
        return re.compile(r"https?://[!-~]+")
    return re.compile(re.sub(r"\Ahttp:", "https?:", expression(source)))


def expression(source: str) -> str:
    """Return a source of the Content-Security-Policy as a regular expression of origins."""
    pattern = re.escape(without_own_port(source))
    return pattern.replace(r"://\*\.", r"://[^/:]+\.").replace(r":\*", r"(:\d+)?")


def is_private(site: str) -> bool:
    """Whether a site is at this machine or in a private network, as far as its name tells."""
    found = _HOST.match(site)
    host = found[1].strip("[]").lower().removesuffix(".") if found else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names = (".localhost", ".local", ".internal", ".home.arpa")
        return bool(host) and (host.endswith(names) or "." not in host)
    return not address.is_global


@dataclass(frozen=True, slots=True)
class Embedding:
    """One notebook in one page."""

    site: str  # where visitors find the service, without a slash at its end
    link: str = ""  # below that, percent-encoded, without a slash at its begin
    title: str = TITLE
    height: int = HEIGHT  # pixels, unless the window is lower

    @property
    def url(self) -> str:
        """The page that takes a server when somebody wants it to."""
        return f"{self.site}/{self.link}"

    def allow(self) -> str:
        """Return what the frame may use: what a notebook wants, and its private network."""
        return ALLOW + LOCAL if is_private(self.site) else ALLOW

    def button(self) -> str:
        """Return HTML for a button that becomes the notebook when it is pressed."""
        url, title = escape(self.url), escape(self.title)
        height = f' data-height="{self.height}"' if self.height != HEIGHT else ""
        return (
            f'<div data-tmpnb="{url}" data-title="{title}"{height}>\n'
            f'  <a href="{url}" target="_blank" rel="noopener">Open: {title}</a>\n'
            "</div>\n"
            f'<script src="{escape(self.site)}/embed.js" async></script>\n'
        )

    def frame(self) -> str:
        """Return HTML for a frame, for pages that take no script from elsewhere."""
        url, title = escape(self.url), escape(self.title)
        return (
            f'<iframe src="{url}" title="{title}" loading="lazy"\n'
            f'  allow="{self.allow()}" referrerpolicy="strict-origin"\n'
            f'  style="width: 100%; height: min(80vh, {self.height}px); border: 1px solid #ccc">'
            "</iframe>\n"
            f'<p><a href="{url}" target="_blank" rel="noopener">Open in a new tab</a></p>\n'
        )

    def badges(self) -> dict[str, str]:
        """Return the line for a badge that leads to the notebook, by the format it is for."""
        image, url = f"{self.site}/badge.svg", self.url
        markdown = f"[![{BADGE}]({image})]({url})\n"
        return {
            "Markdown": markdown,
            "HTML": f'<a href="{escape(url)}"><img src="{escape(image)}" alt="{BADGE}"></a>\n',
            "reStructuredText": f".. image:: {image}\n   :target: {url}\n   :alt: {BADGE}\n",
            "MyST": f"{markdown}\n:::{{iframe}} {url}\n:width: 100%\n{self._caption()}\n:::\n",
        }

    def _caption(self) -> str:
        return " ".join(self.title.split())


def embedding(site: str, path: str = "", title: str = "", height: str = "") -> Embedding:
    """Return what an author asks for, as typed into a form; an empty field means its default.

    Args:
        site: Where visitors find the service.
        path: Like `notebooks/a file.ipynb` or `a file.ipynb`, percent-encoded or not.
        title: Read to those who cannot see the frame.
        height: Pixels.

    Raises:
        BadEmbeddingError: One of them cannot be; in words for the author.
    """
    typed = quote(path.strip().lstrip("/"), safe=_SAFE)
    where, _, query = typed.partition("?")
    try:
        link = links.parse(where, query)
    except BadLinkError as error:
        raise BadEmbeddingError(f"Path: {error}.") from error
    has_view = link.path.partition("/")[0] in links.PAGES
    if not has_view and link.path.endswith(".ipynb"):
        link, has_view = links.Link(f"notebooks/{link.path}", link.query), True
    if link.path and not has_view:
        pages = ", ".join(f"{page}/" for page in links.PAGES)
        raise BadEmbeddingError(f"Path: begin with one of {pages} as in notebooks/first.ipynb.")
    if link.query and not link.path:
        raise BadEmbeddingError("Path: a question mark needs a path before it.")
    said = title.strip() or TITLE
    if len(said) > LONGEST_TITLE:
        raise BadEmbeddingError(f"Title: use {LONGEST_TITLE} characters at most.")
    pixels = height.strip() or str(HEIGHT)
    if not re.fullmatch(r"[0-9]{1,5}", pixels) or not LOWEST <= int(pixels) <= HIGHEST:
        raise BadEmbeddingError(f"Height: write a number of pixels from {LOWEST} to {HIGHEST}.")
    return Embedding(site, link.suffix.removeprefix("/"), said, int(pixels))
