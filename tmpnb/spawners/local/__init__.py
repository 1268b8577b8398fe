"""Servers as processes of this machine."""

from tmpnb.spawners.local.spawner import LocalProcessSpawner

__all__ = ["LocalProcessSpawner"]
