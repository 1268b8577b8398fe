"""Which hosts a request may name that is meant for this machine's own port. Pure.

A page whose name is made to lead to this machine (DNS rebinding) reaches loopback as if it were
its own site: only the `Host` that the browser sends tells. It is the page's name, never one of
these, which nobody can register.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from tmpnb.errors import ConfigError
from tmpnb.system.net import networks

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
    # Those that the network's own name server gives out. Not `.local`: anybody in the network can
    # answer for a name there, and lead it to this machine.
    ".lan",
    ".home.arpa",
)


def is_own(host: str, machine: Collection[str] = ()) -> bool:
    """Whether a request's `Host` is an address, or a name that is not of the public internet.

    Those are `localhost`, names without a dot as containers have, those that end in `_LOCAL` or
    in what no public name does, as `orchestrator.tmpnb_control`, and the machine's own.

    Args:
        host: As it came, with or without a port; empty where none was sent, as by no browser.
        machine: The machine's own names and those that the operator adds, in lower case.
    """
    name = name_in(host)
    if not name:
        return not host.strip(" \t")
    if networks.address(name.strip("[]")) is not None or "." not in name:
        return True
    if not _PUBLIC.fullmatch(name.rpartition(".")[2]):
        return _NAME.fullmatch(name) is not None
    return name.endswith(_LOCAL) or name in machine


def name_in(host: str) -> str:
    """Return the name or address in a request's `Host`, in lower case; empty for none."""
    asked = host.strip(" \t")
    found = _HOST.fullmatch(asked.lower()) if asked.isascii() else None
    return found[1].removesuffix(".") if found else ""


def names(text: str, flag: str = "--admin-hosts") -> frozenset[str]:
    """Return the names in a list with commas, as browsers and programs send them.

    Args:
        text: The list.
        flag: That it was given by, for messages.

    Raises:
        ConfigError: One is no name of a host; in one line.
    """
    words = (word.strip() for word in text.split(","))
    return frozenset(_name(word, flag) for word in words if not is_own(word))


def _name(word: str, flag: str) -> str:
    try:
        name = word if word.isascii() else word.encode("idna").decode()
    except UnicodeError:
        name = ""
    name = name.lower().removesuffix(".")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{flag}: {word!r} is not the name of a host; write each in full and without "
            "a port: tmpnb.ops.example"
        )
    return name
