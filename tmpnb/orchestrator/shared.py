"""What all parts of an orchestrator share, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from tmpnb.core.health import Health
from tmpnb.proxy.contract import Proxy
from tmpnb.spawners.base import Spawner
from tmpnb.system.clock import Clock
from tmpnb.system.http.client import Client
from tmpnb.system.signing import TokenMaker


@dataclass(frozen=True, slots=True)
class Shared:
    """Where servers run, how they are reached, and by whose word.

    Attributes:
        spawner: The engine, behind a border: it raises and returns what its contract says.
        proxy: The proxy, behind a border as well.
        client: Asks notebook servers; the orchestrator closes it at its end.
        signer: Makes the secrets of servers.
        clock: Unix time in seconds, not moved by a jump of the system's clock.
        health: What is wrong right now.
    """

    spawner: Spawner
    proxy: Proxy
    client: Client
    signer: TokenMaker
    clock: Clock
    health: Health
