"""What servers get of the places of an image that are mounted over: copies that all of them read.

A home in memory would begin empty, and an engine mounts no volume read-only unless it has a name.
So the engine copies what the image has there into volumes, once for each of our runs. The home a
server copies from there before its program starts, each time that the engine starts it. Podman
copies at another time, so it has none of this. All of it blocks: call it through the door.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, NotFound

from tmpnb.spawners.docker_door import FAULTS, explain
from tmpnb.spawners.docker_hardening import share
from tmpnb.spawners.docker_kit import LABEL
from tmpnb.spawners.docker_merge import mounted_places
from tmpnb.spawners.docker_options import Options
from tmpnb.spawners.docker_person import Person
from tmpnb.spawners.docker_volumes import placing

log = logging.getLogger(__name__)

HOME = "/opt/tmpnb-home"  # in every server: what its home begins with
PREFIX = "tmpnb-copy-"  # of a volume's name
SPARE = 1024**2  # bytes of the home that are left for what Jupyter itself writes there
KILOBYTE = 1024
# Words: the home, the kilobytes that it may begin with, and then the program.
BEGIN = f"""
if [ "$(du -sk {HOME} | cut -f1)" -gt "$2" ]
then echo "tmpnb: what the image has in $1 is more than $2 kB, so it begins empty" >&2
else cp -a {HOME}/. "$1" || echo "tmpnb: not all of what the image has in $1 is there" >&2
fi
shift 2
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a container must be made with."""

    mounts: tuple[Any, ...] = ()
    entrypoint: Sequence[str] | None = None  # None: the image's own


class Copies:
    """The volumes of one pool. They go when no server uses them."""

    def __init__(self, client: docker.APIClient, pool: str, labels: Mapping[str, str]) -> None:
        self._client = client
        self._pool, self._labels = pool, {**labels, LABEL: pool}
        self._names: dict[tuple[str, str], str] = {}  # of filled ones, by image id and place
        self._filling = threading.Lock()
        self._warned = False

    def supply(self, image: str, person: Person, options: Options) -> tuple[Copied, Copied]:
        """Return the read-only volumes of a server, and its home; not where the operator mounts.

        Raises:
            APIError: See `volumes`.
        """
        if options.kind.podman:
            return Copied(), Copied()
        limits, theirs = options.limits, options.extra_host_config
        mounted = mounted_places(options.mounts, theirs)
        tables = {str(place).partition(":")[0].rstrip("/") for place in theirs.get("tmpfs") or ()}
        volumes = set(placing(limits, person).read_only) - mounted - tables
        if person.home in mounted or not limits.home_in_memory:
            return self.volumes(image, volumes), Copied()
        home = self.home(image, person.home, share(limits, person))
        return self.volumes(image, volumes), home

    def volumes(self, image: str, places: Iterable[str]) -> Copied:
        """Return read-only volumes at `places` of an image, with what it has there.

        Raises:
            APIError: The engine refuses them; without, it would make some that nothing bounds.
        """
        wanted = sorted(places)
        if not wanted:
            return Copied()
        key = str(self._client.inspect_image(image).get("Id") or image)
        return Copied(tuple(_mount(place, self._copy(image, key, place)) for place in wanted))

    def home(self, image: str, home: str, room: int) -> Copied:
        """Return what fills an empty home; never fails, for a server works without.

        Args:
            image: Which the engine has.
            home: Of who runs it.
            room: Bytes in it.
        """
        try:
            found = self._client.inspect_image(image)
            name = self._copy(image, str(found.get("Id") or image), home)
        except FAULTS as error:
            self._warn(explain(error))
            return Copied()
        program = (found.get("Config") or {}).get("Entrypoint") or ()
        own = [program] if isinstance(program, str) else [str(word) for word in program]
        most = str(max(0, room - SPARE) // KILOBYTE)
        return Copied((_mount(HOME, name),), ["sh", "-c", BEGIN, "tmpnb", home, most, *own])

    def _copy(self, image: str, image_id: str, place: str) -> str:
        """Return the name of a volume that is filled: another one if somebody removed it."""
        with self._filling:
            name = self._names.get((image_id, place))
            if name is None or not self._is_ours(name):
                self._names.pop((image_id, place), None)
                self._sweep()
                # Never a name twice: what a killed run has half filled is not trusted.
                name = f"{PREFIX}{self._pool}-{secrets.token_hex(6)}"
                self._fill(name, image, place)
                self._names[image_id, place] = name
        return name

    def _is_ours(self, name: str) -> bool:
        """Whether it is there; the engine itself makes an empty one, without labels."""
        try:
            labels = self._client.inspect_volume(name).get("Labels") or {}
        except NotFound:
            return False
        return labels.get(LABEL) == self._pool

    def _sweep(self) -> None:
        """Remove what former runs left and no container uses."""
        wanted = {"label": f"{LABEL}={self._pool}"}
        for volume in self._client.volumes(filters=wanted).get("Volumes") or ():
            name = str(volume["Name"])
            if name.startswith(PREFIX) and name not in self._names.values():
                with suppress(APIError):  # in use
                    self._client.remove_volume(name)

    def _fill(self, name: str, image: str, place: str) -> None:
        """Make a container that is never started: the engine fills its new volume."""
        self._client.create_volume(name, labels=self._labels)
        mount = docker.types.Mount(place, name, type="volume")
        made = self._client.create_container(
            image=image,
            command=["true"],
            name=name,
            labels=self._labels,
            host_config=self._client.create_host_config(mounts=[mount], network_mode="none"),
        )
        self._client.remove_container(made["Id"], force=True, v=True)

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("homes in memory begin empty: %s", reason)


def _mount(place: str, volume: str) -> Any:
    return docker.types.Mount(place, volume, type="volume", read_only=True, no_copy=True)
