"""The kit for servers in containers: in a volume that all servers of a pool read.

A volume costs a start next to nothing, needs no directory that the engine can see, and
works with a read-only root; copying into each container costs a tenth of a second. All
of it blocks: call it through the door.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import docker
from docker.errors import APIError, NotFound

from tmpnb.spawners import kit
from tmpnb.spawners.base import KitSettings
from tmpnb.spawners.docker_api.threads import FAULTS, explain

log = logging.getLogger(__name__)

DIRECTORY = "/opt/tmpnb-kit"  # in every server
LABEL = "tmpnb.kit"  # of a volume: the pool it is for
PREFIX = "tmpnb-kit-"  # of a volume's name; there are others with this label


@dataclass(frozen=True, slots=True)
class Supply:
    """What a container must be made with; nothing if the engine refuses the kit."""

    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Any, ...] = ()


class KitVolume:
    """The volume of one pool. It is there while a container uses it, and while we run."""

    def __init__(
        self,
        client: docker.APIClient,
        pool: str,
        labels: Mapping[str, str],
        *,
        https: bool,
        origins: str = "",
        siblings: bool = False,
        offline: bool = False,
    ) -> None:
        self._client = client
        self._pool, self._labels = pool, {**labels, LABEL: pool}
        self._settings: KitSettings = {
            "https": https,
            "origins": origins,
            "siblings": siblings,
            "offline": offline,
        }
        self._name = f"{PREFIX}{pool}-{kit.version()}"
        self._filling = threading.Lock()
        self._filled = self._warned = False

    def supply(self, image: str, present: Mapping[str, str]) -> Supply:
        """Return what a server of `image` needs; never fails, for a server works without.

        Args:
            image: Which the engine has.
            present: The environment that the operator gives to all servers.
        """
        try:
            self._ensure(image)
            own = {**self._environment_of(image), **present}
        except Exception as error:  # noqa: BLE001 - must not cost the server
            self._warn(explain(error))
            return Supply()
        mount = docker.types.Mount(
            DIRECTORY, self._name, type="volume", read_only=True, no_copy=True
        )
        added = kit.environment(DIRECTORY, own, **self._settings)
        return Supply(added, (mount,))

    def remove(self) -> None:
        """Remove the pool's volumes that no container uses."""
        with suppress(*FAULTS):
            wanted = {"label": f"{LABEL}={self._pool}"}
            for volume in self._client.volumes(filters=wanted).get("Volumes") or ():
                if str(volume["Name"]).startswith(PREFIX):
                    with suppress(APIError):  # in use
                        self._client.remove_volume(volume["Name"])

    def _ensure(self, image: str) -> None:
        """Fill the volume once for each of our runs, and again if somebody removed it.

        The engine itself makes an empty one in its place, which lacks our label.
        """
        if self._filled and self._is_ours():
            return
        with self._filling:
            if self._filled and self._is_ours():
                return
            self._client.create_volume(self._name, labels=self._labels)
            self._fill(image)
            self._filled = True

    def _is_ours(self) -> bool:
        try:
            labels = self._client.inspect_volume(self._name).get("Labels") or {}
        except NotFound:
            return False
        return labels.get(LABEL) == self._pool

    def _fill(self, image: str) -> None:
        """Copy the kit by way of a container that is never started."""
        mount = docker.types.Mount(DIRECTORY, self._name, type="volume", no_copy=True)
        with suppress(NotFound):
            self._client.remove_container(self._name, force=True)  # of a run that was killed
        made = self._client.create_container(
            image=image,
            command=["true"],
            name=self._name,
            labels=self._labels,
            host_config=self._client.create_host_config(mounts=[mount], network_mode="none"),
        )
        try:
            self._client.put_archive(made["Id"], DIRECTORY, kit.archive())
        finally:
            self._client.remove_container(made["Id"], force=True)

    def _environment_of(self, image: str) -> dict[str, str]:
        config = self._client.inspect_image(image).get("Config") or {}
        pairs = (entry.partition("=") for entry in config.get("Env") or ())
        return {name: value for name, _, value in pairs}

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("servers start without the kit, so frames may not work: %s", reason)
