"""A visitor's cookies: kept as answers set them, sent where they belong. Synchronous."""

from __future__ import annotations

from http.cookies import CookieError, Morsel, SimpleCookie
from urllib.parse import urlsplit


class Cookies:
    """The cookies of one visitor. Their lifetimes are not looked at, but for deletions."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], str] = {}  # host, path, name -> as it is sent

    def keep(self, url: str, header: str) -> None:
        """Take note of one `Set-Cookie` of an answer from `url`."""
        try:
            morsels = SimpleCookie(header)
        except CookieError:
            return  # a browser ignores it as well
        parts = urlsplit(url)
        for name, morsel in morsels.items():
            path = morsel["path"] or parts.path.rpartition("/")[0] or "/"
            key = (parts.netloc, path, name)
            if _deletes(morsel):
                self._kept.pop(key, None)
            else:
                self._kept[key] = morsel.coded_value

    def header(self, url: str) -> str:
        """Return the `Cookie` of a request to `url`; empty for none."""
        return "; ".join(f"{name}={value}" for name, value in self._for(url))

    def value(self, url: str, name: str) -> str:
        """Return what a cookie says at `url`; empty if there is none."""
        return next((value for found, value in self._for(url) if found == name), "")

    def _for(self, url: str) -> list[tuple[str, str]]:
        """Return names and values, those of the longest paths first."""
        parts = urlsplit(url)
        fitting = [
            (path, name, value)
            for (host, path, name), value in self._kept.items()
            if host == parts.netloc and _is_below(parts.path or "/", path)
        ]
        fitting.sort(key=lambda found: -len(found[0]))
        return [(name, value) for _, name, value in fitting]


def _is_below(path: str, parent: str) -> bool:
    return path == parent or path.startswith(parent if parent.endswith("/") else f"{parent}/")


def _deletes(morsel: Morsel[str]) -> bool:
    return not morsel.value or morsel["max-age"] == "0" or " 1970 " in morsel["expires"]
