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
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, NotFound

from tmpnb.errors import SpawnerError
from tmpnb.examination import HOME_WORDS, TOO_LARGE_WORDS
from tmpnb.spawners.docker_door import FAULTS, explain
from tmpnb.spawners.docker_hardening import share
from tmpnb.spawners.docker_kit import LABEL
from tmpnb.spawners.docker_listing import names_of
from tmpnb.spawners.docker_merge import mounted_places
from tmpnb.spawners.docker_options import Options
from tmpnb.spawners.docker_person import Person
from tmpnb.spawners.docker_volumes import placing

log = logging.getLogger(__name__)

_Place = tuple[str, str]  # of an image, by its id

HOME = "/opt/tmpnb-home"  # in every server: what its home begins with
PREFIX = "tmpnb-copy-"  # of a volume's name
SPARE = 1024**2  # bytes of the home that are left for what Jupyter itself writes there
KILOBYTE = 1024
FILLING = 300.0  # seconds the engine may take to fill one: a home may have gigabytes
AGAIN = 600.0  # seconds after which one that could not be filled is tried again
KEPT = 3600.0  # seconds since its last use in which one is not removed: a start may mean it
# Words: the home, the kilobytes that it may begin with, and then the program.
BEGIN = f"""
if [ "$(du -sk {HOME} | cut -f1)" -gt "$2" ]
then echo "tmpnb: {HOME_WORDS} $1 is more than $2 kB, {TOO_LARGE_WORDS}" >&2
else cp -a {HOME}/. "$1" || echo "tmpnb: not all of {HOME_WORDS} $1 is there" >&2
fi
shift 2
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a container must be made with."""

    mounts: tuple[Any, ...] = ()
    entrypoint: Sequence[str] | None = None  # None: the image's own


@dataclass(slots=True)
class _Filled:
    """A volume that servers may have."""

    name: str
    used: float = 0.0  # when it was last handed out


class Copies:
    """The volumes of one pool. They go when no server uses them, as far as is seen now and then."""

    def __init__(
        self,
        client: docker.APIClient,
        pool: str,
        labels: Mapping[str, str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._now = client, now
        self._pool, self._labels = pool, {**labels, LABEL: pool}
        self._filled: dict[_Place, _Filled] = {}
        self._failed: dict[_Place, tuple[float, str]] = {}  # until when not to try again, and why
        self._filling = threading.Lock()  # over these
        self._swept = now()
        self._warned: set[str] = set()  # images whose homes begin empty

    def supply(self, image: str, person: Person, options: Options) -> tuple[Copied, Copied]:
        """Return the read-only volumes of a server, and its home; not where the operator mounts.

        Raises:
            APIError, RequestException, SpawnerError: See `volumes`.
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
            RequestException: It did not answer.
            SpawnerError: It could not make them a while ago.
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
            name = self._copy(image, str(found.get("Id") or image), home, optional=True)
        except (*FAULTS, SpawnerError) as error:
            self._warn(image, explain(error))
            return Copied()
        program = (found.get("Config") or {}).get("Entrypoint") or ()
        own = [program] if isinstance(program, str) else [str(word) for word in program]
        most = str(max(0, room - SPARE) // KILOBYTE)
        return Copied((_mount(HOME, name),), ["sh", "-c", BEGIN, "tmpnb", home, most, *own])

    def _copy(self, image: str, image_id: str, place: str, *, optional: bool = False) -> str:
        """Return the name of a volume that is filled: another one if somebody removed it."""
        with self._filling:
            if self._now() - self._swept > KEPT:
                with suppress(*FAULTS):
                    self._sweep(image_id)
            found = self._filled.get((image_id, place))
            if found is None or not self._is_ours(found.name):
                self._filled.pop((image_id, place), None)
                found = _Filled(self._made(image, image_id, place, optional=optional))
                self._filled[image_id, place] = found
            found.used = self._now()
        return found.name

    def _made(self, image: str, image_id: str, place: str, *, optional: bool) -> str:
        """Return a new volume that is filled; raise at once where that failed a while ago."""
        key = (image_id, place)
        until, reason = self._failed.pop(key, (0.0, ""))
        if reason and self._now() < until:
            self._failed[key] = until, reason
            raise SpawnerError(f"what {image} has in {place} could not be copied: {reason}")
        # Never a name twice: what a killed run has half filled is not trusted.
        name = f"{PREFIX}{self._pool}-{secrets.token_hex(6)}"
        try:
            self._sweep(image_id)
            self._fill(name, image, place)
        except FAULTS as error:
            # The engine may still be copying, or have copied in vain: not once more at each start.
            if optional or not (isinstance(error, APIError) and error.is_client_error()):
                self._failed[key] = self._now() + AGAIN, explain(error)
            raise
        return name

    def _is_ours(self, name: str) -> bool:
        """Whether it is there; the engine itself makes an empty one, without labels."""
        try:
            labels = self._client.inspect_volume(name).get("Labels") or {}
        except NotFound:
            return False
        return labels.get(LABEL) == self._pool

    def _sweep(self, image_id: str) -> None:
        """Remove what was left, and what no container uses; not what a start may mean to use."""
        self._swept = self._now()
        wanted = {"label": f"{LABEL}={self._pool}"}
        for entry in self._client.containers(all=True, filters=wanted):
            if any(name.startswith(PREFIX) for name in names_of(entry)):
                self._remove(str(entry["Id"]))
        recent = {
            filled.name
            for (image, _), filled in self._filled.items()
            if image == image_id or self._swept - filled.used <= KEPT
        }
        used = set()
        for volume in self._client.volumes(filters=wanted).get("Volumes") or ():
            name = str(volume["Name"])
            if name.startswith(PREFIX) and name not in recent:
                try:
                    self._client.remove_volume(name)
                except APIError:  # in use
                    used.add(name)
        kept = recent | used
        self._filled = {key: one for key, one in self._filled.items() if one.name in kept}

    def _fill(self, name: str, image: str, place: str) -> None:
        """Make a container that is never started: the engine fills its new volume."""
        self._client.create_volume(name, labels=self._labels)
        mount = docker.types.Mount(place, name, type="volume")
        client = _patient(self._client)
        filled = False
        try:
            client.create_container(
                image=image,
                command=["true"],
                name=name,
                labels=self._labels,
                host_config=client.create_host_config(mounts=[mount], network_mode="none"),
            )
            filled = True
        finally:
            # By name, not by what `create` returned: it may have timed out and worked.
            self._remove(name)
            if not filled:
                with suppress(*FAULTS):
                    self._client.remove_volume(name)

    def _remove(self, container: str) -> None:
        """Remove a container with its anonymous volumes; what stays goes at the next sweep."""
        try:
            self._client.remove_container(container, force=True, v=True)
        except NotFound:
            pass
        except FAULTS as error:
            log.warning("container left behind id=%s: %s", container, explain(error))

    def _warn(self, image: str, reason: str) -> None:
        if image not in self._warned:
            self._warned.add(image)
            log.warning("homes in memory begin empty image=%s: %s", image, reason)


def _patient(client: docker.APIClient) -> docker.APIClient:
    """Return the same client, with the same connections, that waits longer for an answer."""
    made = copy(client)
    vars(made).update(vars(client))  # a session copies only what it knows of itself
    made.timeout = max(FILLING, client.timeout)
    return made


def _mount(place: str, volume: str) -> Any:
    return docker.types.Mount(place, volume, type="volume", read_only=True, no_copy=True)
