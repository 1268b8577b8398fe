"""Tell a person's visit from a machine's look, by its request headers. Pure.

Taking a server is an act of a person: crawlers, prefetching browsers, link previews
and image tags must never take one.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from tmpnb.core import origins

_PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
# Not: phones named CUBOT, and the browsers inside the apps of Telegram, Pinterest and the like.
_CRAWLER = re.compile(
    r"(?<!cu)bot\b|\+https?:|crawl|spider|slurp|preview|facebookexternalhit|facebookcatalog|"
    r"meta-external|embedly|\Awhatsapp|\Atumblr|google-inspectiontool|mediapartners|lighthouse|"
    r"pingdom|archive\.org|ia_archiver|validator",
    re.IGNORECASE,
)
_FRAMES = ("iframe", "frame", "embed", "object")


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


def may_take(headers: Mapping[str, str], public_url: str = "") -> bool:
    """Whether a GET of `/spawn` with these headers may take a server.

    A frame may only if a click loaded it, a script only if it is our own page's.

    Args:
        headers: Of the request.
        public_url: Where visitors find us; empty: at the host they ask.
    """
    destination = headers.get("Sec-Fetch-Dest")
    if destination in _FRAMES:
        wanted = _clicked(headers)
    elif destination == "empty":
        wanted = is_own_page(headers, public_url)
    elif destination is None:
        wanted = not _for_image(headers)
    else:
        wanted = destination == "document"
    return wanted and not is_prefetch(headers) and not is_crawler(headers)


def is_page(headers: Mapping[str, str]) -> bool:
    """Whether the answer is shown as a page, in a tab or a frame, as far as a browser says."""
    destination = headers.get("Sec-Fetch-Dest")
    if destination is None:
        return not _for_image(headers)
    return destination == "document" or destination in _FRAMES


def is_led_by_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser vouches that our own page leads here: no address bar, and no silence."""
    return headers.get("Sec-Fetch-Site") == "same-origin"


def is_small(headers: Mapping[str, str]) -> bool:
    """Whether the browser has little room for a notebook: on a phone, or in a frame.

    A page knows better how much it has; this is for those without scripts.
    """
    if headers.get("Sec-Fetch-Dest") in _FRAMES:
        return True
    said = headers.get("Sec-CH-UA-Mobile")
    return said == "?1" if said else "Mobi" in headers.get("User-Agent", "")


def is_own_page(headers: Mapping[str, str], public_url: str = "") -> bool:
    """Whether a POST comes from our own page or from no page at all, not from a foreign site.

    Args:
        headers: Of the request.
        public_url: Where visitors find us, whatever host a proxy before us asks; empty: at the
            host that is asked.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("Origin")
    if origin is None:
        return True
    found = origins.canonical(origin)
    return bool(found) and (
        found == origins.canonical(public_url) or origins.is_at(origin, headers.get("Host", ""))
    )


def is_for_a_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends this for some page, and not because a person typed the address."""
    return "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none"


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
    return Autostart.YES if destination == "document" or _clicked(headers) else Autostart.NO


def _clicked(headers: Mapping[str, str]) -> bool:
    return headers.get("Sec-Fetch-User") == "?1"


def _for_image(headers: Mapping[str, str]) -> bool:
    """Whether an image tag asks, as far as a browser without `Sec-Fetch-Dest` shows it."""
    accepted = headers.get("Accept", "")
    return "image/" in accepted and "text/html" not in accepted
