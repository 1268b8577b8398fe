"""Look into an image before a server of it is made: who runs it, and is its disk bounded.

By way of containers that are never started. All of it blocks: call it through the door.
"""

from __future__ import annotations

import io
import logging
import tarfile
import threading
from collections.abc import Iterable
from contextlib import suppress

import docker
from docker.errors import APIError, NotFound

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker_door import FAULTS, explain
from tmpnb.spawners.docker_options import Options
from tmpnb.spawners.docker_person import Person, entries, person

log = logging.getLogger(__name__)

PASSWD = "/etc/passwd"  # noqa: S105 - a path
LARGEST = 1024**2  # bytes of a passwd file that are read
SOME_DISK = "1G"  # for a try


class People:
    """Who servers run as, by image; each image is looked into once.

    The check is of the very image that is used: a tag may mean another one tomorrow.
    """

    def __init__(self, client: docker.APIClient, pool: str, options: Options) -> None:
        self._client, self._user, self._labels = client, options.user, options.labels
        limits = options.limits
        self._root_allowed = limits.root_allowed
        self._home_matters = limits.read_only or limits.home_in_memory
        self._name = container_name(pool)
        self._known: dict[str, Person] = {}  # by image id
        self._lock = threading.Lock()

    def of(self, image: str) -> Person:
        """Return who a server of `image` runs as.

        Raises:
            ConfigError: That is root, which is not allowed; the message says what to do.
        """
        found = self._client.inspect_image(image)
        config = found.get("Config") or {}
        user = self._user or str(config.get("User") or "")
        key = str(found.get("Id") or image)
        with self._lock:
            if key not in self._known:
                self._known[key] = self._look(image, user, config.get("Env") or ())
                self._tell(image, user, self._known[key])
            known = self._known[key]
        if known.user_id == 0 and not self._root_allowed:
            whose = "--container-user" if self._user else "the image's own USER"
            raise ConfigError(
                f"--image={image}: it would run as root ({whose}: {user or 'root'});"
                " set --container-user=1000, or allow it with --allow-root"
            )
        return known

    def _tell(self, image: str, user: str, found: Person) -> None:
        if found.user_id is None:
            log.warning("image %s: who %s is cannot be seen; taken for not root", image, user)
        elif found.user_id == 0 and self._root_allowed:
            log.warning("image %s runs as root, as --allow-root says", image)

    def _look(self, image: str, user: str, environment: Iterable[str]) -> Person:
        guess = person(user, environment, ())
        if guess.user_id == 0 and not self._root_allowed:
            return guess
        if guess.user_id is not None and not self._home_matters:
            return guess
        try:
            return person(user, environment, entries(self._passwd(image)))
        except (*FAULTS, tarfile.TarError, LookupError) as error:
            log.debug("image %s: its %s cannot be read: %s", image, PASSWD, explain(error))
            return guess

    def _passwd(self, image: str) -> str:
        with suppress(NotFound):
            self._client.remove_container(self._name, force=True)  # of a run that was killed
        made = self._client.create_container(
            image=image,
            command=["true"],
            name=self._name,
            labels=dict(self._labels),
            host_config=self._client.create_host_config(network_mode="none"),
        )
        try:
            packed, _ = self._client.get_archive(made["Id"], PASSWD)
            with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as tar:
                member = tar.extractfile(PASSWD.rpartition("/")[2])
                return member.read(LARGEST).decode(errors="replace") if member else ""
        finally:
            with suppress(APIError):
                self._client.remove_container(made["Id"], force=True, v=True)


def container_name(pool: str) -> str:
    """Return the name of what is made to look into an image of a pool, and removed at once."""
    return f"tmpnb-look-{pool}"


def bounds_disk(client: docker.APIClient, pool: str, options: Options) -> bool:
    """Return whether the engine makes a container whose disk is bounded."""
    name = container_name(pool)
    config = client.create_host_config(storage_opt={"size": SOME_DISK}, network_mode="none")
    try:
        with suppress(NotFound):
            client.remove_container(name, force=True)  # of a run that was killed
        made = client.create_container(
            image=options.image,
            command=["true"],
            name=name,
            labels=dict(options.labels),
            host_config=config,
        )
    except APIError:
        return False
    with suppress(APIError):
        client.remove_container(made["Id"], force=True, v=True)
    return True
