"""Which hosts a request may name that is meant for this machine's own port. Pure.

A page whose name is made to lead to this machine (DNS rebinding) reaches loopback as if it were
its own site: only the `Host` that the browser sends tells. It is the page's name, never one of
these, which nobody can register.
"""

from __future__ import annotations

import re

from tmpnb import networks

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")
_PRIVATE = (".localhost", ".internal", ".svc", ".cluster.local")


def is_own(host: str, machine: str = "") -> bool:
    """Whether a request's `Host` is an address, or a name that is not of the public internet.

    Those are `localhost`, names without a dot as containers have, `.internal`, those of a
    Kubernetes cluster, and the machine's own.

    Args:
        host: As it came, with or without a port; empty where none was sent, as by no browser.
        machine: The machine's own name; empty for none.
    """
    found = _HOST.fullmatch(host.strip().lower())
    if found is None:
        return not host.strip()
    name = found[1].removesuffix(".")
    if networks.address(name.strip("[]")) is not None or "." not in name:
        return bool(name)
    return name.endswith(_PRIVATE) or name == machine.lower()
