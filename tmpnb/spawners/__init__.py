"""Where servers run: the contract of engines, and the engines."""

from tmpnb.spawners.base import PoolIdentity, ServerSpec, Spawner
from tmpnb.spawners.entry_points import spawner_class, spawner_names

__all__ = ["PoolIdentity", "ServerSpec", "Spawner", "spawner_class", "spawner_names"]
