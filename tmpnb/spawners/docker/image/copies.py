"""What servers get of the places of an image that are mounted over: copies that all of them read.

A home in memory would begin empty, and an engine mounts no volume read-only unless it has a name.
So the engine copies what the image has there into volumes, once for each of our runs, before a
server is started. The home a server copies from there before its program starts, each time that
the engine starts it. Podman copies at another time, so it has none of this. All of it blocks:
`fill` for minutes, on the thread that `docker_ahead` has for it; the others through the door.
"""

from __future__ import annotations

import logging
import math
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
from tmpnb.spawners.docker.hardening.limits import share
from tmpnb.spawners.docker.hardening.merge import mounted_places
from tmpnb.spawners.docker.image.user import Person
from tmpnb.spawners.docker.image.volumes import placing
from tmpnb.spawners.docker.kit_volume import LABEL
from tmpnb.spawners.docker.labels import names_of
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker_api.threads import FAULTS, explain
from tmpnb.spawners.examination import HOME_WORDS, TOO_LARGE_WORDS

log = logging.getLogger(__name__)

_Place = tuple[str, str]  # of an image, by its id

HOME = "/opt/tmpnb-home"  # in every server: what its home begins with
PREFIX = "tmpnb-copy-"  # of a volume's name
SPARE = 1024**2  # bytes of the home that are left for what Jupyter itself writes there
KILOBYTE = 1024
FILLING = 1800.0  # seconds the engine may take to fill one: an image may have tens of gigabytes
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


@dataclass(frozen=True, slots=True)
class Needed:
    """The places of an image that servers get copies of."""

    volumes: tuple[str, ...] = ()
    home: str = ""  # empty: it is not one of them


class NotCopiedError(SpawnerError):
    """What a server needs of its image is not there, or is gone: it has to be copied first."""


@dataclass(slots=True)
class _Filled:
    """A volume that servers may have: all of it is there."""

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
        self._failed: dict[_Place, str] = {}  # why the last try failed
        self._lock = threading.Lock()  # over these two
        self._swept = -math.inf
        self._warned: set[str] = set()  # images whose homes begin empty

    @property
    def due(self) -> bool:
        """Whether it is time to look for volumes that nobody uses any more: call `fill`."""
        return self._now() - self._swept > KEPT

    def fill(self, image: str, needed: Needed) -> str:
        """Let the engine copy what is missing; return why servers cannot start, "" if they can.

        One call at a time. A home that cannot be copied is told of; servers start without. The
        images that are gone lose their copies.

        Raises:
            APIError, RequestException: The engine does not tell what the image is.
        """
        image_id = self._id_of(image)
        if self.due or self.lacks(image, needed):
            with suppress(*FAULTS):
                self._sweep(image_id)
        reasons = [self._ensure(image, (image_id, place)) for place in needed.volumes]
        if needed.home and (reason := self._ensure(image, (image_id, needed.home))):
            self._warn(image, reason)
        elif needed.home and image in self._warned:
            self._warned.discard(image)
            log.info("homes in memory begin as in the image again image=%s", image)
        for place, reason in zip(needed.volumes, reasons, strict=True):
            if reason:
                return f"what {image} has in {place} could not be copied: {reason}"
        return ""

    def lacks(self, image: str, needed: Needed) -> bool:
        """Whether something of an image is not copied, though servers can start.

        Raises:
            APIError, RequestException: The engine does not tell what the image is.
        """
        image_id = self._id_of(image)
        places = {*needed.volumes, needed.home} - {""}
        with self._lock:
            return any((image_id, place) not in self._filled for place in places)

    def supply(self, image: str, person: Person, options: Options) -> tuple[Copied, Copied]:
        """Return the read-only volumes of a server, and its home; not where the operator mounts.

        Raises:
            APIError, RequestException: The engine does not tell what there is.
            NotCopiedError: `fill` has to be called first.
        """
        wanted = needed(person, options)
        volumes = self.volumes(image, wanted.volumes)
        room = share(options.limits, person)
        return volumes, self.home(image, wanted.home, room) if wanted.home else Copied()

    def volumes(self, image: str, places: Iterable[str]) -> Copied:
        """Return read-only volumes at `places` of an image, with what it has there.

        Raises:
            APIError, RequestException: The engine does not tell what there is.
            NotCopiedError: It has to be copied first: without, the engine would make one that
                nothing bounds.
        """
        wanted = sorted(places)
        if not wanted:
            return Copied()
        key = self._id_of(image)
        return Copied(tuple(_mount(place, self._copy(image, (key, place))) for place in wanted))

    def home(self, image: str, home: str, room: int) -> Copied:
        """Return what fills an empty home; nothing where that failed: a server works without.

        Args:
            image: Which the engine has.
            home: Of who runs it.
            room: Bytes in it.

        Raises:
            NotCopiedError: It has to be copied first.
        """
        try:
            found = self._client.inspect_image(image)
            key = (str(found.get("Id") or image), home)
            with self._lock:
                failed = key in self._failed
            if failed:
                return Copied()
            name = self._copy(image, key)
        except FAULTS as error:
            self._warn(image, explain(error))
            return Copied()
        program = (found.get("Config") or {}).get("Entrypoint") or ()
        own = [program] if isinstance(program, str) else [str(word) for word in program]
        most = str(max(0, room - SPARE) // KILOBYTE)
        return Copied((_mount(HOME, name),), ["sh", "-c", BEGIN, "tmpnb", home, most, *own])

    def remove(self) -> None:
        """Remove the volumes that this run has filled, where no container uses them."""
        with self._lock:
            names = [filled.name for filled in self._filled.values()]
            self._filled.clear()
        for name in names:
            with suppress(*FAULTS):
                self._client.remove_volume(name)

    def _id_of(self, image: str) -> str:
        return str(self._client.inspect_image(image).get("Id") or image)

    def _copy(self, image: str, key: _Place) -> str:
        """Return the name of a volume that is filled."""
        with self._lock:
            found = self._filled.get(key)
            if found is not None:
                found.used = self._now()  # before the look, so that it is not removed after it
        if found is None or not self._is_ours(found.name):
            raise NotCopiedError(f"what {image} has in {key[1]} is not copied")
        return found.name

    def _ensure(self, image: str, key: _Place) -> str:
        """Have a volume that is filled, another one if somebody removed it; return why not."""
        with self._lock:
            found = self._filled.get(key)
        try:
            if found is not None and self._is_ours(found.name):
                return ""
        except FAULTS as error:
            return explain(error)  # it may well be there
        # Never a name twice: what a killed run has half filled is not trusted.
        name = f"{PREFIX}{self._pool}-{secrets.token_hex(6)}"
        try:
            self._fill(name, image, key[1])
        except FAULTS as error:
            with self._lock:
                self._filled.pop(key, None)
                self._failed[key] = explain(error)
            return explain(error)
        with self._lock:
            self._filled[key] = _Filled(name, self._now())
            self._failed.pop(key, None)
        return ""

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
        for volume in self._client.volumes(filters=wanted).get("Volumes") or ():
            name = str(volume["Name"])
            if name.startswith(PREFIX) and not self._is_meant(name, image_id):
                self._remove_unused(name)

    def _is_meant(self, name: str, image_id: str) -> bool:
        """Whether a start may be about to use a volume."""
        with self._lock:
            return any(
                filled.name == name and (key[0] == image_id or self._swept - filled.used <= KEPT)
                for key, filled in self._filled.items()
            )

    def _remove_unused(self, name: str) -> None:
        try:
            self._client.remove_volume(name)
        except APIError:  # in use
            return
        with self._lock:
            self._filled = {key: one for key, one in self._filled.items() if one.name != name}

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


def needed(person: Person, options: Options) -> Needed:
    """Return what servers get copies of; not where the operator mounts something. Pure."""
    if options.kind.podman:
        return Needed()
    limits, theirs = options.limits, options.extra_host_config
    mounted = mounted_places(options.mounts, theirs)
    tables = {str(place).partition(":")[0].rstrip("/") for place in theirs.get("tmpfs") or ()}
    volumes = set(placing(limits, person).read_only) - mounted - tables
    has_home = limits.home_in_memory and person.home not in mounted
    return Needed(tuple(sorted(volumes)), person.home if has_home else "")


def _patient(client: docker.APIClient) -> docker.APIClient:
    """Return the same client, with the same connections, that waits longer for an answer."""
    made = copy(client)
    vars(made).update(vars(client))  # a session copies only what it knows of itself
    made.timeout = max(FILLING, client.timeout)
    return made


def _mount(place: str, volume: str) -> Any:
    return docker.types.Mount(place, volume, type="volume", read_only=True, no_copy=True)
