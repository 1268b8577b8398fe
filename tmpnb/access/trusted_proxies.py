"""The proxies whose word about a visitor's address is taken."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from tmpnb.system.net import networks
from tmpnb.system.net.networks import LOOPBACK, Address, Networks

log = logging.getLogger(__name__)

LOOK_TIMEOUT = 2.0  # seconds to resolve the names
LOOK_EVERY = 2.0  # seconds, at most

Resolve = Callable[[str], Awaitable[Iterable[str]]]


async def addresses_of(name: str) -> list[str]:
    """Return what a host name stands for now.

    Raises:
        OSError: Nothing, or nobody can tell.
    """
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


def host_of(url: str | None) -> str:
    """Return the host in the URL of a proxy's API; empty if there is none."""
    try:
        return urlsplit(url or "").hostname or ""
    except ValueError:
        return ""


class TrustedProxies:
    """Loopback, networks that the operator names, and hosts by name, which may move.

    The host that runs the proxy may come back with another address, as a container does.
    So its name is looked up again when somebody asks who is not known to be a proxy.
    """

    def __init__(
        self,
        given: Networks | None = None,
        names: Iterable[str] = (),
        resolve: Resolve = addresses_of,
    ) -> None:
        """Look nothing up yet.

        Args:
            given: The operator's.
            names: Hosts, by name or address, that are proxies or ourselves.
            resolve: Returns the addresses of a name, or raises OSError.
        """
        self._given, self._resolve = given or Networks(), resolve
        words = {name: networks.address(name) for name in names if name}
        self._names = [name for name, found in words.items() if found is None]
        self._fixed = {found for found in words.values() if found is not None}
        self._found: dict[str, set[Address]] = {}
        self._due = 0.0  # of the loop's clock
        self._looking: asyncio.Task[None] | None = None

    def __contains__(self, address: Address | None) -> bool:
        if address is None:
            return False
        if address in LOOPBACK or address in self._given or address in self._fixed:
            return True
        return any(address in found for found in self._found.values())

    async def know(self, peer: str) -> None:
        """Look the names up, unless `peer` is known already or they were looked up just now."""
        if not self.knows(peer) and self._looking is not None:
            await asyncio.shield(self._looking)

    def knows(self, peer: str) -> bool:
        """Whether it is known if `peer` is a proxy; if not, the names are looked up meanwhile."""
        if not self._names or networks.address(peer) in self:
            return True
        loop = asyncio.get_running_loop()
        if self._looking is None:
            if loop.time() < self._due:
                return True
            self._looking = loop.create_task(self._look())
        return False

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                await asyncio.gather(*(self._look_for(name) for name in self._names))
        except TimeoutError:
            log.warning("cannot look up %s in %g s", ", ".join(self._names), LOOK_TIMEOUT)
        finally:
            self._looking = None
            self._due = asyncio.get_running_loop().time() + LOOK_EVERY

    async def _look_for(self, name: str) -> None:
        try:
            found = {networks.address(text) for text in await self._resolve(name)}
        except (OSError, UnicodeError):
            return  # what was found before counts on
        self._found[name] = {address for address in found if address is not None}
