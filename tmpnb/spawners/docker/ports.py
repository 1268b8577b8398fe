"""Choose where servers are found on this machine: free ports, addresses of their own."""

from __future__ import annotations

import errno
import hashlib
import socket

from tmpnb.errors import ConfigError, SpawnerError

TRIED = 2000  # ports above the first before giving up
LAST = 65535


def own_loopback(server_id: str) -> str:
    """Return the address in 127.0.0.0/8 at which this server alone is published.

    An engine that restarts chooses published ports anew, in any order. On an address of
    its own a server cannot come to be found where the route of another still leads. There
    are 16 million of them: of a thousand servers, two meet once in 30 times, and then the
    engine refuses the second, which is started anew under another id.
    """
    first, second, third = hashlib.sha256(server_id.encode()).digest()[:3]
    return f"127.{1 + first % 254}.{second}.{1 + third % 254}"  # neither 127.0 nor a broadcast


class Ports:
    """The ports of one address, each given to one server until it is given back.

    A port stays taken after its server was started, for the server may not listen yet.
    """

    def __init__(self, ip: str, first: int) -> None:
        self._ip = ip
        self._first = first
        self._taken: dict[str, int] = {}  # by server id

    def check(self) -> None:
        """See that the address is this machine's.

        Raises:
            ConfigError: It is not, so that no server could listen there.
        """
        if _bind(self._ip, 0) != 0:
            raise ConfigError(
                f"--container-ip={self._ip}: not an address of this machine, which --host-network"
                " needs; the engine must run here as well"
            )

    def take(self, server_id: str) -> int:
        """Return a port nobody listens on.

        Raises:
            SpawnerError: There is none within reach.
        """
        last = min(LAST, self._first + TRIED)
        taken = {port for owner, port in self._taken.items() if owner != server_id}
        for port in range(self._first, last + 1):
            if port not in taken and _bind(self._ip, port) == 0:
                self._taken[server_id] = port
                return port
        raise SpawnerError(f"no free port on {self._ip} from {self._first} to {last}")

    def give_back(self, server_id: str) -> None:
        """Let others have the server's port, if it has one."""
        self._taken.pop(server_id, None)


def _bind(ip: str, port: int) -> int:
    """Return 0 if a server could listen there, else the error's number."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            return error.errno or errno.EADDRINUSE
    return 0
