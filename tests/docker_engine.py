"""The real Docker engine for tests; everything made in it carries this run's label."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, NoReturn

import docker
from docker.errors import DockerException, NotFound
from requirements import TEST_IMAGE

from tmpnb.spawners.docker import DockerSpawner

LABEL = "tmpnb.test"


class RealEngine:
    """What a test may do with the engine besides what a spawner does."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(6)
        self.client = docker.APIClient(version="auto", timeout=20, **docker.utils.kwargs_from_env())

    @classmethod
    def needed(cls, missing: Callable[[str], NoReturn]) -> RealEngine:
        """Return the engine, or call `missing` with what is not there."""
        try:
            engine = cls()
        except DockerException as error:
            missing(f"a Docker engine ({error})")
        try:
            engine.client.inspect_image(TEST_IMAGE)
        except NotFound:
            engine.client.close()
            missing(f"the image {TEST_IMAGE}")
        return engine

    @property
    def labels(self) -> dict[str, str]:
        return {LABEL: self.run}

    def new_spawner(self, pool: str, command: str, **settings: Any) -> DockerSpawner:
        """Return a spawner that is not set up; pools of other runs have other names."""
        spawner = DockerSpawner(
            **{"image": TEST_IMAGE, "command": command, "labels": self.labels} | settings
        )
        spawner.pool_name = f"{pool}-{self.run}"
        return spawner

    def containers(self) -> list[dict[str, Any]]:
        """Return this run's containers as the engine describes them in full."""
        listed = self.client.containers(all=True, filters={"label": f"{LABEL}={self.run}"})
        return [self.client.inspect_container(entry["Id"]) for entry in listed]

    def remove_all(self) -> None:
        """Remove everything that carries this run's label."""
        mine = {"label": f"{LABEL}={self.run}"}
        for entry in self.client.containers(all=True, filters=mine):
            self.client.remove_container(entry["Id"], v=True, force=True)
        for network in self.client.networks(filters=mine):
            self.client.remove_network(network["Id"])
        self.client.close()
