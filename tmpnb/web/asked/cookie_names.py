"""The names of our cookies. Pure.

A browser keeps cookies by host and not by port. So that two services on one host do not take
each other's, a name says whose it is: the pool, and the port at which visitors find it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

GUARD = "__Host-"  # a browser takes a cookie of such a name from nobody but the host itself
# What browsers leave out around a name. Python takes more for blanks, such as U+00A0: a browser
# lets anybody set a cookie of that and a guarded name behind it.
BLANKS = " \t"
_PORT = re.compile(r"[^:]:0*([0-9]{1,5})\Z")
_STANDARD = {"http": "80", "https": "443"}


def own(kind: str, pool: str, site: str) -> str:
    """Return the name of a cookie.

    Args:
        kind: What it is for, as `tmpnb-visitor`, which was the whole name once.
        pool: The name of the pool.
        site: Where visitors find the service, `https://notebooks.example`.
    """
    scheme, _, host = site.partition("://")
    found = _PORT.search(host)
    return f"{kind}-{pool}-{found.group(1) if found else _STANDARD[scheme]}"


def as_sent(kind: str, name: str, sent: Iterable[str]) -> list[str]:
    """Return under which of the names of its cookies a browser may tell what we told it.

    The own one comes first. Then those of before an update or a move: the kind alone, or
    another pool or port. They may be another service's too, so what they say must be checked.
    All of them: whoever plants some could else let the browser's own fall off.

    Args:
        kind: What the cookie is for.
        name: Its own name.
        sent: The names of all cookies that came.
    """
    others = [n for n in sent if n != name and (n == kind or n.startswith(f"{kind}-"))]
    return [name, *others]


def values(kind: str, name: str, header: str) -> Iterator[str]:
    """Yield what the cookies of a kind say, in the order of `as_sent`.

    A browser may have several of one name, set for other paths or by others: all are told, so
    that none hides another.

    Args:
        kind: What the cookies are for.
        name: Their own name.
        header: `Cookie`, as it came.
    """
    sent: dict[str, list[str]] = {}
    for one, _, value in (cookie.partition("=") for cookie in header.split(";")):
        sent.setdefault(one.strip(BLANKS), []).append(value.strip(BLANKS))
    for known in as_sent(kind, name, sent):
        yield from sent.get(known, ())
