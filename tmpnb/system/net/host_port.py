"""Write a host and a port as one: `host:port`, with an IPv6 address in brackets. Pure."""

from __future__ import annotations

LOOPBACK = "127.0.0.1"
NEAR = {"": LOOPBACK, "0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - recognised, not bound


def place(host: str, port: int | str) -> str:
    """Return `host:port`.

    Args:
        host: A name or an address, without brackets or with them.
        port: Of it.
    """
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Return a host as URLs have it."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def reachable(host: str) -> str:
    """Return where a program on this machine reaches what listens on `host`.

    Args:
        host: A name or an address; one that stands for all addresses is on loopback too.
    """
    return NEAR.get(host, host)
