"""Takes no cookies from pages of other hosts. Runs in a notebook server.

Servers whose hosts are below one domain are one site for a browser: it sends a server's
cookies along when the page of another one asks for something. What comes from a page of
another origin is taken as if it had none; only a link or an address that is followed keeps
them. A token still counts, from wherever it comes.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell the server what to load."""
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Look at every request to a server that is about to listen, before anybody else does."""
    application = server.web_app
    find = application.find_handler

    def find_guarded(request: Any, **kwargs: Any) -> Any:
        if is_foreign(request.method, request.headers) and "Cookie" in request.headers:
            del request.headers["Cookie"]
        return find(request, **kwargs)

    application.find_handler = find_guarded


def is_foreign(method: str, headers: Any) -> bool:
    """Whether a page of another origin asks, and not a person who followed a link."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        followed = headers.get("Sec-Fetch-Mode") == "navigate" and method in ("GET", "HEAD")
        return site not in ("same-origin", "none") and not followed
    origin = headers.get("Origin")
    return origin is not None and not is_at(origin, headers.get("Host") or "")


def is_at(origin: str, host: str) -> bool:
    """Whether an origin is at the host that was asked, with or without its scheme's own port."""
    scheme, _, place = origin.lower().partition("://")
    port = {"http": "80", "https": "443"}.get(scheme)
    if not port or not host:
        return False
    given, asked = (p.lower().removesuffix(f":{port}") for p in (place, host))
    return given == asked
