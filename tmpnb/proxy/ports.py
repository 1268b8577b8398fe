"""See that nobody listens where the proxy is to: it would say so, and go on without. Blocks."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from tmpnb.errors import ConfigError


def require_free(places: Iterable[tuple[str, int, str]]) -> None:
    """Return if all of the places are free: address, port, and the flag that chooses the port.

    Raises:
        ConfigError: Somebody listens there; in one line.
    """
    for ip, port, flag in places:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        try:
            with socket.create_server((ip, port), family=family):
                pass
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"{flag}={port} is in use by another program; stop it, or choose another port"
                ) from error
