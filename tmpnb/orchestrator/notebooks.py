"""Who asks from inside a notebook server: such a client takes no other server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import TmpnbError
from tmpnb.spawners.base import Spawner
from tmpnb.system.net import networks
from tmpnb.system.net.networks import Address

log = logging.getLogger(__name__)

LOOK_TIMEOUT = 5.0  # seconds in a visitor's path


class Notebooks:
    """The addresses that notebook servers have, in the engine and to the proxy."""

    def __init__(self, spawner: Spawner, servers: Callable[[], Iterable[NotebookServer]]) -> None:
        """Keep whom to ask.

        Args:
            spawner: Knows what addresses its servers have in the engine.
            servers: Returns those of the pool, in all phases.
        """
        self._spawner, self._servers = spawner, servers
        self._turn = asyncio.Lock()
        self._asked = self._answered = 0
        self._found: frozenset[Address] = frozenset()

    async def have(self, address: Address | None) -> bool:
        """Return whether an address is one of theirs.

        An address beside theirs is looked up in the engine, which may have started a server
        anew, or given one that was removed to a proxy. If it does not answer, the address counts
        as theirs.
        """
        if address is None:
            return False
        there: list[str] = []
        ending: list[str] = []
        for server in self._servers():
            if server.address:
                is_over = server.phase in (Phase.STOPPING, Phase.GONE)
                (ending if is_over else there).append(server.address)
        if address in networks.host_addresses(there):
            return True
        held = self._spawner.holds(address)
        if held is None:
            return await self._look_for(address)
        return held or address in networks.host_addresses(ending)

    async def _look_for(self, address: Address) -> bool:
        self._asked += 1
        mine = self._asked
        try:
            async with asyncio.timeout(LOOK_TIMEOUT), self._turn:
                if self._answered < mine:  # a look that began before we came says nothing
                    latest = self._asked
                    self._found = frozenset(await self._spawner.addresses())
                    self._answered = latest
        except (TmpnbError, TimeoutError) as error:
            log.warning(
                "%s is on a network of servers and gets none: the engine does not tell whose"
                " address it is (%s)",
                address,
                str(error) or f"no answer in {LOOK_TIMEOUT:g} s",
            )
            return True
        return address in self._found
