"""Servers in Docker containers."""

from tmpnb.spawners.docker.spawner import DockerSpawner

__all__ = ["DockerSpawner"]
