"""Look into an image before a server of it is made: who runs it, and is its disk bounded.

By way of containers that are never started. All of it blocks: call it through the door.
"""

from __future__ import annotations

import io
import logging
import secrets
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import docker
from docker.errors import APIError

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.image.user import Person, entries, person
from tmpnb.spawners.docker.image.volumes import declared, in_words, placing
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker_api.threads import explain

log = logging.getLogger(__name__)

PASSWD = "/etc/passwd"  # noqa: S105 - a path
LARGEST = 1024**2  # bytes of a passwd file that are read
LABEL = "tmpnb.look"  # of such a container: the pool it is for
LEFT_OVER = 60.0  # seconds after which nobody looks any more


class People:
    """Who servers run as, by image; each image is looked into once.

    The check is of the very image that is used: a tag may mean another one tomorrow.
    """

    def __init__(self, client: docker.APIClient, pool: str, options: Options) -> None:
        self._client, self._user, self._labels = client, options.user, options.labels
        limits = options.limits
        self._root_allowed = limits.root_allowed
        self._home_matters = limits.read_only or bool(limits.disk)
        self._limits, self._podman = limits, options.kind.podman
        self._pool = pool
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
                found_person = self._look(image, user, config.get("Env") or ())
                self._known[key] = replace(found_person, volumes=declared(config))
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
        if words := in_words(placing(self._limits, found, fills=not self._podman)):
            log.warning("image %s: %s", image, words)

    def _look(self, image: str, user: str, environment: Iterable[str]) -> Person:
        guess = person(user, environment, ())
        if guess.user_id == 0 and not self._root_allowed:
            return guess
        if guess.user_id is not None and not self._home_matters:
            return guess
        try:
            return person(user, environment, entries(self._passwd(image)))
        except (APIError, tarfile.TarError, LookupError) as error:  # other faults pass
            log.debug("image %s: its %s cannot be read: %s", image, PASSWD, explain(error))
            return guess

    def _passwd(self, image: str) -> str:
        with looking(self._client, self._pool, image, self._labels) as container:
            packed, _ = self._client.get_archive(container, PASSWD)
            with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as tar:
                member = tar.extractfile(PASSWD.rpartition("/")[2])
                return member.read(LARGEST).decode(errors="surrogateescape") if member else ""


@contextmanager
def looking(
    client: docker.APIClient, pool: str, image: str, labels: Mapping[str, str], **settings: Any
) -> Iterator[str]:
    """Make a container of `image`, and remove it at the end; yield its id.

    Raises:
        APIError: The engine will not have it.
    """
    for found in client.containers(all=True, filters={"label": f"{LABEL}={pool}"}):
        if found["Created"] < time.time() - LEFT_OVER:  # of a run that was killed
            _remove(client, found["Id"])
    config = client.create_host_config(network_mode="none", **settings)
    made = client.create_container(
        image=image,
        command=["true"],
        name=f"tmpnb-look-{pool}-{secrets.token_hex(4)}",
        labels={**labels, LABEL: pool},
        host_config=config,
    )
    try:
        yield str(made["Id"])
    finally:
        _remove(client, made["Id"])


def _remove(client: docker.APIClient, container: str) -> None:
    with suppress(APIError):
        client.remove_container(container, force=True, v=True)


def bounds_disk(client: docker.APIClient, pool: str, options: Options) -> bool:
    """Return whether the engine makes a container whose disk is bounded as the options say."""
    bound = {"size": str(options.limits.disk)}
    try:
        with looking(client, pool, options.image, options.labels, storage_opt=bound):
            return True
    except APIError:
        return False
