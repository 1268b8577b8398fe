"""Which hosts a request may name that is meant for this machine's own port. Pure.

A page whose name is made to lead to this machine (DNS rebinding) reaches loopback as if it were
its own site: only the `Host` that the browser sends tells. It is the page's name, never one of
these, which nobody can register.
"""

from __future__ import annotations

import re

from tmpnb import networks
from tmpnb.errors import ConfigError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
# The end of every name that is registered; Docker's `host.network` often has another.
_PUBLIC = re.compile(r"[a-z]+|xn--.*")
_LOCAL = (
    ".localhost",
    ".internal",
    ".svc",
    ".cluster.local",
    ".dns.podman",
    # Given out in one's own network alone, as are those without a dot.
    ".lan",
    ".home.arpa",
    ".local",
)


def is_own(host: str, *machine: str) -> bool:
    """Whether a request's `Host` is an address, or a name that is not of the public internet.

    Those are `localhost`, names without a dot as containers have, those that end in `_LOCAL` or
    in what no public name does, as `orchestrator.tmpnb_control`, and the machine's own.

    Args:
        host: As it came, with or without a port; empty where none was sent, as by no browser.
        machine: The machine's own names; an empty one is none.
    """
    found = _HOST.fullmatch(host.strip().lower())
    if found is None:
        return not host.strip()
    name = found[1].removesuffix(".")
    if networks.address(name.strip("[]")) is not None or "." not in name:
        return bool(name)
    if not _PUBLIC.fullmatch(name.rpartition(".")[2]):
        return _NAME.fullmatch(name) is not None
    return name.endswith(_LOCAL) or name in (one.lower().removesuffix(".") for one in machine)


def names(text: str) -> frozenset[str]:
    """Return the names in a list with commas.

    Raises:
        ConfigError: One is no name of a host.
    """
    found = {word.strip().lower().removesuffix(".") for word in text.split(",")} - {""}
    for name in sorted(found):
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"--admin-hosts: {name!r} is no name of a host; give names alone, without a port"
            )
    return frozenset(found)
