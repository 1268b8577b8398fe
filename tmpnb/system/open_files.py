"""How many files may be open: raise the limit, and tell whether it is enough."""

from __future__ import annotations

import resource

MOST = 1_048_576  # above it some programs take minutes to close them all
BASE = 64  # of a proxy without visitors, with room for passing requests
PAGES = 2  # of an open notebook: the page's own connection, on both sides of the proxy
WEBSOCKETS = 3  # of an open notebook: kernel, events, and one for a second kernel or terminal
SIDES = 2  # of a websocket: one towards the browser, one towards the server


def raise_limit() -> int:
    """Allow this process and its later children as many open files as the system lets it.

    Returns:
        The limit that holds now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST if soft == resource.RLIM_INFINITY else soft


def needed(capacity: int) -> int:
    """Return how many a proxy opens when `capacity` notebooks are open. Pure."""
    return BASE + capacity * (PAGES + SIDES * WEBSOCKETS)


def advice(limit: int, capacity: int) -> str | None:
    """Return one sentence if `limit` is too low for `capacity` open notebooks. Pure."""
    wanted = needed(capacity)
    if limit >= wanted:
        return None
    return (
        f"{limit} files may be open at once and a proxy needs {wanted} for {capacity} open"
        f" notebooks; raise the limit with ulimit -n {wanted}, LimitNOFILE={wanted} in systemd,"
        " or ulimits in Compose"
    )
