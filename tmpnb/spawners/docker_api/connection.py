"""Reach the engine, and see that it has the image and the network.

All of it blocks: call it through the door.
"""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections.abc import Mapping
from typing import Any

import docker
import requests
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, NotFound
from docker.utils import version_lt
from requests.adapters import HTTPAdapter

from tmpnb.errors import ConfigError, SpawnerError
from tmpnb.spawners.docker_api import address as docker_address
from tmpnb.spawners.docker_api.threads import FAULTS, LONGEST_EXPLANATION, explain, root_cause

log = logging.getLogger(__name__)

FIRST_ANSWER = 5.0  # seconds for the engine's first answer
REMEDY = "start Docker, set DOCKER_HOST, or try --spawner=local"
PODMANS_REMEDY = "start podman.socket by systemctl, or set DOCKER_HOST"

_REASONS = {
    errno.ENOENT: "there is no such socket",
    errno.ECONNREFUSED: "nothing listens there",
}


def connect(
    version: str, *, timeout: float, connections: int, assert_hostname: bool
) -> docker.APIClient:
    """Return a client of the engine that DOCKER_HOST names, after a first answer.

    Args:
        version: Of the API, like "1.41"; "auto" takes the engine's.
        timeout: Seconds one later request may take.
        connections: Kept open; as many as there are threads.
        assert_hostname: Whether the engine's certificate must name its host.

    Raises:
        ConfigError: A setting or an environment variable is wrong.
        SpawnerError: No engine answers; the message says where and what to do.
    """
    check_version(version)
    where = docker_address.environment()
    address = docker_address.shown(docker_address.address())

    def client(api: str, patience: float) -> docker.APIClient:
        made = docker.APIClient(version=api, timeout=patience, max_pool_size=connections, **where)
        # The environment's proxies and certificates are for the web, not for the engine.
        made.trust_env = False
        if made.base_url.startswith(("http://", "https://")):  # not a local socket
            adapter = _Adapter(connections, assert_hostname=assert_hostname)
            made.mount("https://", adapter)
            made.mount("http://", adapter)
        return made

    try:
        try:
            first = client(MINIMUM_DOCKER_API_VERSION, FIRST_ANSWER)
        except (ArithmeticError, LookupError, AttributeError, NameError, TypeError) as error:
            raise ConfigError(
                f"the Docker client cannot be set up for {address}: {type(error).__name__}:"
                f" {explain(error)}; see DOCKER_HOST and ~/.docker/config.json"
            ) from error
        try:
            answer = first.version(api_version=False)
        finally:
            first.close()
    except FAULTS as error:
        raise SpawnerError(
            f"cannot reach Docker at {address}: {_reason(error)}; {_remedy(address)}"
        ) from error
    return client(_agreed_version(version, answer), timeout)


def check_version(version: str) -> None:
    """Refuse what is no version of the engine's API.

    Raises:
        ConfigError: It is none.
    """
    if version != "auto" and not re.fullmatch(r"\d+\.\d+", version):
        raise ConfigError(f"--docker-version={version}: write auto, or a version like 1.41")


def about(client: docker.APIClient) -> Mapping[str, Any]:
    """Return what the engine says of itself; nothing if it does not say."""
    try:
        return dict(client.info())
    except APIError:  # a filter in front of the engine may keep this from us
        return {}


def has_image(client: docker.APIClient, image: str) -> bool:
    """Return whether the engine has an image.

    Raises:
        ConfigError: It will not say.
    """
    try:
        client.inspect_image(image)
    except NotFound:
        return False
    except APIError as error:
        raise _no_image(image, explain(error)) from error
    return True


def pull(client: docker.APIClient, image: str, given_up: threading.Event) -> None:
    """Fetch `image`; this may take minutes.

    Raises:
        ConfigError: It cannot be had; the message says what to do.
    """
    try:
        for line in client.pull(image, stream=True, decode=True):
            if "error" in line:
                raise _no_image(image, str(line["error"]))
            if given_up.is_set():
                return
    except APIError as error:
        raise _no_image(image, explain(error)) from error


def _agreed_version(wanted: str, answer: Mapping[str, Any]) -> str:
    newest = str(answer.get("ApiVersion", ""))
    if not re.fullmatch(r"\d+\.\d+", newest):
        raise SpawnerError(f"what answers at DOCKER_HOST is not a Docker engine; {REMEDY}")
    oldest = str(answer.get("MinAPIVersion") or MINIMUM_DOCKER_API_VERSION)
    if version_lt(oldest, MINIMUM_DOCKER_API_VERSION):
        oldest = MINIMUM_DOCKER_API_VERSION
    if version_lt(newest, oldest):
        raise SpawnerError(
            f"the engine speaks API {newest} only; {oldest} is needed, update Docker"
        )
    if wanted == "auto":
        return newest
    if version_lt(wanted, oldest) or version_lt(newest, wanted):
        raise ConfigError(f"--docker-version={wanted}: this engine takes {oldest} to {newest}")
    return wanted


def _reason(error: BaseException) -> str:
    cause = root_cause(error)
    if isinstance(cause, PermissionError):
        return (
            "permission denied; add this user to the group docker and log in again,"
            " or run as one who may use it"
        )
    if isinstance(error, requests.Timeout) or isinstance(cause, TimeoutError):
        return f"no answer within {FIRST_ANSWER:g} s"
    number = cause.errno if isinstance(cause, OSError) else None
    return _REASONS.get(number or 0) or explain(error)


def _remedy(address: str) -> str:
    if other := docker_address.unfollowed():
        return other.replace("; ", ", ")
    return PODMANS_REMEDY if "podman" in address else REMEDY


def _no_image(image: str, reason: str) -> ConfigError:
    reason = " ".join(reason.split())[:LONGEST_EXPLANATION]
    return ConfigError(
        f"--image={image}: the engine does not have it and cannot pull it ({reason});"
        f" try: docker pull {image}, or docker build -t {image} DIRECTORY"
    )


class _Adapter(HTTPAdapter):
    """Keeps a connection for each thread, and may skip the host name of a certificate."""

    def __init__(self, connections: int, *, assert_hostname: bool) -> None:
        self._assert_hostname = assert_hostname
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **more: Any
    ) -> None:
        if not self._assert_hostname:
            more["assert_hostname"] = False
        super().init_poolmanager(connections, maxsize, block, **more)
