"""Origins of pages, compared as browsers do: `http://a.example:80` is `http://a.example`. Pure."""

from __future__ import annotations

import ipaddress
import re

_STANDARD = {"http": 80, "https": 443}
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_SOURCE = re.compile(r"(?:(?<=\Ahttp)(://[^/]+):0*80|(?<=\Ahttps)(://[^/]+):0*443)\Z")


def canonical(text: str) -> str:
    """Return an origin as a browser writes it, without its scheme's own port; empty for none."""
    found = _ORIGIN.fullmatch(_lower(text))
    if found is None:
        return ""
    scheme, host, port = found.groups()
    tail = "" if port is None or int(port) == _STANDARD[scheme] else f":{int(port)}"
    return f"{scheme}://{_host(host)}{tail}"


def is_at(origin: str, asked: str) -> bool:
    """Whether pages of an origin come from the host that a request asked, at the same port.

    A proxy may speak https for us, so the scheme is the origin's.

    Args:
        origin: As `Origin` has it.
        asked: As `Host` has it.
    """
    page, host = _ORIGIN.fullmatch(_lower(origin)), _HOST.fullmatch(_lower(asked))
    if page is None or host is None:
        return False
    port = _STANDARD[page[1]]
    return (_host(page[2]), int(page[3] or port)) == (_host(host[1]), int(host[2] or port))


def source(text: str) -> str:
    """Return a source of the Content-Security-Policy without the port that its scheme implies."""
    return _SOURCE.sub(r"\1\2", text.lower())


def _lower(text: str) -> str:
    """Return a text in lower case, where no other letter becomes one of ASCII."""
    return text.lower() if text.isascii() else text


def _host(text: str) -> str:
    """Return a host in one spelling of several."""
    if not text.startswith("["):
        return text
    try:
        return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]"
    except ValueError:
        return text
