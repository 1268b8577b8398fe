"""Tell a person's visit from a machine's look, by its request headers. Pure.

Taking a server is an act of a person: crawlers, prefetching browsers, link previews
and image tags must never take one.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

_PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
_CRAWLER = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|preview|facebookexternalhit|facebookcatalog|embedly|"
    r"quora link|whatsapp|telegram|skypeuripreview|vkshare|pinterest|tumblr|flipboard|"
    r"bingpreview|google-read-aloud|google-inspectiontool|mediapartners|lighthouse|"
    r"pingdom|uptimerobot|archive\.org|ia_archiver|headlesschrome-lighthouse|validator",
    re.IGNORECASE,
)
_DESTINATIONS = ("document", "iframe", "frame", "embed", "object", "empty")


class Autostart(enum.StrEnum):
    """Whether the loading page may take a server by itself."""

    YES = "yes"
    NO = "no"
    TOP = "top"  # only when it is not in a frame, which the page has to see for itself


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """Whether a browser fetches ahead and nobody has asked to see it yet."""
    return any(_PREFETCH.search(headers.get(name, "")) for name in _PREFETCH_HEADERS)


def is_crawler(headers: Mapping[str, str]) -> bool:
    """Whether the client says that it is a crawler or makes a link preview."""
    return bool(_CRAWLER.search(headers.get("User-Agent", "")))


def may_take(headers: Mapping[str, str]) -> bool:
    """Whether a GET of `/spawn` with these headers may take a server."""
    shown = headers.get("Sec-Fetch-Dest", "document") in _DESTINATIONS
    return shown and not is_prefetch(headers) and not is_crawler(headers)


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a POST comes from our own page or from no page at all, not from a foreign site."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == headers.get("Host", "")


def autostart(headers: Mapping[str, str]) -> Autostart:
    """Return what the loading page may do once it is visible.

    A frame that a click loaded may start; one that came with the article waits for
    its own button, so that a page view costs no server. Browsers send these headers
    to https and localhost only; elsewhere the page finds out whether it is framed.
    """
    if is_crawler(headers):
        return Autostart.NO
    destination = headers.get("Sec-Fetch-Dest")
    if destination is None:
        return Autostart.TOP
    clicked = headers.get("Sec-Fetch-User") == "?1"
    return Autostart.YES if destination == "document" or clicked else Autostart.NO
