"""The real Docker engine for tests; everything made in it carries this run's label."""

from __future__ import annotations

import gc
import secrets
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

import docker
from docker.errors import DockerException, NotFound

from tests.support.requirements import TEST_IMAGE
from tmpnb.spawners.base import PoolIdentity
from tmpnb.spawners.docker.spawner import DockerSpawner

LABEL = "tmpnb.test"


@cache
def _trouble() -> str:
    """Return why no engine answers, or nothing; asked once, as nobody starts one meanwhile."""
    with warnings.catch_warnings():
        # docker-py forgets the socket of a connection that fails.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            docker.APIClient(version="auto", **docker.utils.kwargs_from_env()).close()
        except DockerException as error:
            trouble = str(error)
        else:
            trouble = ""
        gc.collect()
    return trouble


# All at once, as one that is kept from its place says so by silence. A refusal may look like a
# connection for a moment, but has no peer.
PROBE = """
import concurrent.futures, socket, sys
def answers(place):
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=3) as one:
            one.getpeername()
        return "open"
    except OSError:
        return "closed"
with concurrent.futures.ThreadPoolExecutor(len(sys.argv)) as pool:
    print(*pool.map(answers, sys.argv[1:]))
"""


def reached(client: docker.APIClient, container: str, *places: str) -> list[bool]:
    """Return which of the places, host:port, a connection can be made to from inside."""
    command = client.exec_create(container, ["python3", "-c", PROBE, *places])
    answer = client.exec_start(command["Id"]).decode().split()
    assert len(answer) == len(places), answer
    return [word == "open" for word in answer]


ASK = """
import concurrent.futures, sys, urllib.error, urllib.request
def asked(place):
    request = urllib.request.Request(f"http://{place}/api/spawn", method="POST")
    if len(sys.argv) > 2:
        request.add_header("X-Forwarded-For", sys.argv[2])
    try:
        return urllib.request.urlopen(request, timeout=5).status
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(*pool.map(asked, sys.argv[1].split()))
"""


def asks_for_a_notebook(
    client: docker.APIClient, container: str, *places: str, forged: str = ""
) -> list[int]:
    """Return the status with which each place, host:port, answers from inside; 0: not reached."""
    words = ["python3", "-c", ASK, " ".join(places), *([forged] if forged else [])]
    answer = client.exec_start(client.exec_create(container, words)["Id"]).decode().split()
    assert len(answer) == len(places), answer
    return [int(word) for word in answer]


class RealEngine:
    """What a test may do with the engine besides what a spawner does.

    Attributes:
        runtime: Of the servers that tests have made; empty: the engine's own.
    """

    runtime = ""

    def __init__(self) -> None:
        self.run = secrets.token_hex(6)
        self.client = docker.APIClient(version="auto", timeout=20, **docker.utils.kwargs_from_env())

    @classmethod
    def needed(cls, missing: Callable[[str], NoReturn]) -> RealEngine:
        """Return the engine, or call `missing` with what is not there."""
        if trouble := _trouble():
            missing(f"a Docker engine ({trouble})")
        engine = cls()
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
            **{
                "image": TEST_IMAGE,
                "command": command,
                "labels": self.labels,
                "runtime": self.runtime,
            }
            | settings
        )
        spawner.pool = PoolIdentity(f"{pool}-{self.run}")
        return spawner

    def containers(self) -> list[dict[str, Any]]:
        """Return this run's containers as the engine describes them in full."""
        listed = self.client.containers(all=True, filters={"label": f"{LABEL}={self.run}"})
        return [seen for entry in listed for seen in self._seen(entry["Id"])]

    def _seen(self, container: str) -> list[dict[str, Any]]:
        """Return the container in full, or nothing if it has gone since it was listed."""
        try:
            return [self.client.inspect_container(container)]
        except NotFound:
            return []

    def remove_all(self) -> None:
        """Remove everything that carries this run's label."""
        mine = {"label": f"{LABEL}={self.run}"}
        for entry in self.client.containers(all=True, filters=mine):
            with suppress(NotFound):  # it went by itself
                self.client.remove_container(entry["Id"], v=True, force=True)
        for network in self.client.networks(filters=mine):
            self.client.remove_network(network["Id"])
        for volume in self.client.volumes(filters=mine)["Volumes"] or ():
            self.client.remove_volume(volume["Name"])
        self.client.close()
