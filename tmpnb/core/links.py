"""Deep links: where on a fresh server a visitor wanted to be. Pure.

Paths and queries are kept as the browser sent them, percent signs and all; they are
checked and never decoded, so nothing is lost or encoded twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus, unquote_to_bytes

from tmpnb.core.server import base_url
from tmpnb.errors import TmpnbError

PAGES = ("notebooks", "tree", "files", "lab", "doc", "edit")  # linked to without /spawn
FORM_KEY = "tmpnb-form"  # in a query: the form that led to the page
_OURS = ("token", FORM_KEY)  # what a query has for us, and not for the notebook
LONGEST = 4096  # characters of a path or of a query
# What browsers leave as it is: more than RFC 3986 allows, and a little more in a query.
_SAFE = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@%\[\]|^-]*\Z")
_SAFE_QUERY = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@%\[\]|^?{}`\\-]*\Z")


class BadLinkError(TmpnbError):
    """A path or query that no notebook can be opened at."""


@dataclass(frozen=True, slots=True)
class Link:
    """A place on a notebook server."""

    path: str = ""  # below the base URL, without a leading slash, percent-encoded
    query: str = ""  # without the question mark, percent-encoded

    @property
    def suffix(self) -> str:
        """The link as it is appended to `/spawn`; empty, or with a leading `/` or `?`."""
        path = f"/{self.path}" if self.path else ""
        return f"{path}?{self.query}" if self.query else path


def parse(path: str, query: str) -> Link:
    """Check a path and a query as they stood in the request line.

    A `token` in the query is left out, as the server's own takes its place, and what is for us.

    Raises:
        BadLinkError: Too long, not percent-encoded, or leading out of the server.
    """
    if len(path) > LONGEST or len(query) > LONGEST:
        raise BadLinkError(f"the link is longer than {LONGEST} characters")
    if not _SAFE.match(path) or not _SAFE_QUERY.match(query):
        raise BadLinkError("the link has characters that are not percent-encoded")
    decoded = unquote(path)
    if "\\" in decoded or any(ord(c) < 32 or ord(c) == 127 for c in decoded):
        raise BadLinkError("the link has a backslash or a control character in its path")
    if any(part in (".", "..") for part in decoded.split("/")):
        raise BadLinkError("the link leads out of the notebook server")
    kept = [p for p in query.split("&") if p and unquote_plus(p.partition("=")[0]) not in _OURS]
    return Link(path.lstrip("/"), "&".join(kept))


def landing(wanted: Link, default: str) -> Link:
    """Return `wanted`, or the operator's default page when no page was asked for.

    Args:
        wanted: What the visitor asked for; its query is kept in either case.
        default: The operator's `redirect_uri`, which may have a query of its own.

    Raises:
        BadLinkError: The default is no link; `settings.redirect_uri` lets none such pass.
    """
    if wanted.path:
        return wanted
    path, _, query = default.partition("?")
    home = parse(path, query)
    return Link(home.path, "&".join(q for q in (home.query, wanted.query) if q))


def on_server(server_id: str, link: Link, token: str) -> str:
    """Return the address of `link` on a server, with the token that opens it."""
    query = f"{link.query}&token={token}" if link.query else f"token={token}"
    return f"{base_url(server_id)}{link.path}?{query}"


def contents_path(link: Link) -> str | None:
    """Return the file that must be asked about before `link` can be opened without a redirect.

    Notebook 7 redirects `tree/<file>` and `notebooks/<folder>` and drops the token on
    the way, so a visitor without cookies would end at a login page.
    """
    view, _, rest = link.path.partition("/")
    if view not in ("tree", "notebooks") or not rest or rest.endswith(".ipynb"):
        return None
    return rest


def resolved(link: Link, kind: str | None = None) -> Link:
    """Return the place where the redirect of Notebook 7 would have led.

    Args:
        link: A link below the base URL.
        kind: What stands at `contents_path(link)`: `file`, `notebook`, `directory`;
            None if that is not known.
    """
    view, _, rest = link.path.partition("/")
    if view == "tree" and rest and (rest.endswith(".ipynb") or kind == "notebook"):
        return Link(f"notebooks/{rest}", link.query)
    if view == "tree" and kind == "file":
        return Link(f"edit/{rest}", link.query)
    if view == "notebooks" and kind == "directory":
        return Link(f"tree/{rest}", link.query)
    return link


_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_broken(path: str) -> bool:
    """Whether a path, as it stood in the request line, is not percent-encoded UTF-8."""
    if _STRAY.search(path):
        return True
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return True
    return False


def mended(path: str, query: str = "") -> str:
    """Return a broken link with each stray percent sign of its path as the character itself.

    Returns:
        Empty if no notebook can be opened there, or if it is broken in another way.
    """
    meant = _STRAY.sub("%25", path)
    if not path.startswith("/") or path.startswith("//") or is_broken(meant):
        return ""
    try:
        return parse(meant, query).suffix
    except BadLinkError:
        return ""
