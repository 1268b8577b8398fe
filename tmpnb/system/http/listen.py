"""Open the ports of the service, and say clearly why one cannot be opened."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from tornado.netutil import bind_sockets
from tornado.web import Application

from tmpnb.errors import ConfigError
from tmpnb.system.http.bounded_server import BoundedServer, Whose, nobodys
from tmpnb.system.net.host_port import place, reachable

LARGEST_BODY = 256 * 1024  # bytes of a request, which are kept in memory and taken apart
LARGEST_HEADERS = 32 * 1024  # bytes; the proxy passes on half of that
SLOWEST_HEADERS = 120.0  # seconds, for an idle connection as well
SLOWEST_BODY = 60.0  # seconds
MOST_CONNECTIONS = 4096  # at once; a thousand who wait in line have one each
MOST_OF_OPERATOR = 256  # connections of the admin port, beside those
MOST_UNFINISHED = 64  # requests of one client that are not whole yet

_REASONS = {
    errno.EADDRINUSE: "the port is in use; stop what listens there, or choose another port",
    errno.EACCES: "not allowed; ports below 1024 need root, choose a higher one",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def bind(flag: str, ip: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on `ip` and `port`; port 0 takes a free one.

    Args:
        flag: The flag that chose the port, for the message.
        ip: Address or host name; empty for all addresses.
        port: TCP port.

    Raises:
        ConfigError: The port cannot be had.
    """
    try:
        return bind_sockets(port, ip)
    except socket.gaierror as error:
        raise ConfigError(f"--{flag}: cannot listen on {ip!r}: {error.strerror}") from error
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, str(error))
        raise ConfigError(
            f"--{flag}={port}: cannot listen on {place(ip, port)}: {reason}"
        ) from error


def server(
    application: Application,
    open_files: int = 2 * MOST_CONNECTIONS,
    *,
    whose: Whose = nobodys,
    most: int = MOST_CONNECTIONS,
) -> BoundedServer:
    """Return a server that waits for its sockets, with bounds for whoever sends too much.

    Headers and body end in time and are no larger than said above, or the connection ends. A
    handler that drops what it reads may raise that for its own requests.

    Args:
        application: What it serves.
        open_files: That this process may have; connections take half of them at most.
        whose: Returns the client of a connection from its other end and `X-Forwarded-For`, of
            whom `MOST_UNFINISHED` requests are awaited at once; None for one without a bound.
        most: Connections at once, however many files there may be.
    """
    return BoundedServer(
        application,
        max_header_size=LARGEST_HEADERS,
        max_body_size=LARGEST_BODY,
        idle_connection_timeout=SLOWEST_HEADERS,
        body_timeout=SLOWEST_BODY,
        most=min(most, open_files // 2),
        most_unfinished=MOST_UNFINISHED,
        whose=whose,
    )


def url(sockets: Sequence[socket.socket]) -> str:
    """Return how a process on this machine reaches the first of `sockets`."""
    host, port = sockets[0].getsockname()[:2]
    return url_of(host, port)


def url_of(host: str, port: int) -> str:
    """Return how a process on this machine reaches who listens at an address and a port."""
    return f"http://{place(reachable(host), port)}"
