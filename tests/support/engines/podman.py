"""A Podman of the tests' own behind its Docker-like socket: nothing of the machine is touched.

It has its own directories and namespaces of network, mounts and processes, so that whatever
it makes there is gone with its first process. A test enters the network (`inside`). The
machine's Docker engine is only asked for the image.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import docker
from docker.errors import DockerException

from tests.e2e.faults.own_engine import OwnEngine, _end, _lives, _start, _wait
from tests.support import evidence
from tests.support.engines.docker import RealEngine
from tests.support.requirements import TEST_IMAGE, missing
from tmpnb.spawners.docker.spawner import DockerSpawner

START = 60.0  # seconds until it answers
NAMESPACES = "unshare --mount --pid --fork --kill-child --mount-proc"
PACKAGES = {
    "podman": "podman",
    "runc": "runc",
    "catatonit": "catatonit",
    "iptables": "iptables",
    "docker": "docker.io",
}
NETAVARK = Path("/usr/lib/podman/netavark")
CGROUPS = Path("/sys/fs/cgroup")

# crun, the default, refuses machines whose control groups are of both versions.
CONTAINERS = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
static_dir = "{0}/libpod"
tmp_dir = "{0}/tmp"
volume_path = "{0}/volumes"
[network]
network_backend = "netavark"
network_config_dir = "{0}/networks"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{0}/storage"
runroot = "{0}/run"
"""
# What Podman writes at fixed places stays in this namespace of mounts.
BEGIN = """
mkdir -p /run/netns
for place in /run/netns /dev/shm; do mount -t tmpfs tmpfs "$place" || exit; done
exec catatonit -- podman system service --time=0 "$1"
"""


class PodmanEngine(OwnEngine):
    """A Podman that runs as root."""

    @classmethod
    def needed(cls, missing: Callable[[str], NoReturn]) -> PodmanEngine:
        """Return one that answers and has the test's image, or call `missing` with what lacks."""
        if os.geteuid() != 0:
            missing("root, for a Podman of the tests' own")
        lacking = [package for name, package in PACKAGES.items() if shutil.which(name) is None]
        lacking += [] if NETAVARK.exists() else ["netavark"]
        if lacking:
            missing(f"Podman: apt-get install {' '.join(lacking)}")
        RealEngine.needed(missing).client.close()  # which has the image
        try:
            engine = cls()
        except OSError as error:
            missing(f"the right to make a network namespace ({error})")
        try:
            engine.begin_service()
            engine.fetch(TEST_IMAGE)
        except BaseException:
            engine.close()
            raise
        return engine

    def new_spawner(self, pool: str, command: str, **settings: Any) -> DockerSpawner:
        """See `RealEngine`."""
        settings.setdefault("extra_host_config", {"ulimits": ulimits()})
        return super().new_spawner(pool, command, **settings)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be in its network, with DOCKER_HOST naming it."""
        names = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
        before = {name: os.environ.pop(name) for name in names if name in os.environ}
        os.environ["DOCKER_HOST"] = self.host
        self.take_part()
        try:
            with self.network.inside():
                yield
        finally:
            del os.environ["DOCKER_HOST"]
            os.environ.update(before)

    def begin_service(self) -> None:
        """Start it; return once it answers."""
        for name, text in (("containers", CONTAINERS), ("storage", STORAGE)):
            (self.directory / f"{name}.conf").write_text(text.format(self.directory))
        own = {
            "CONTAINERS_CONF": f"{self.directory}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.directory}/storage.conf",
        }
        words = [*NAMESPACES.split(), "sh", "-c", BEGIN, "sh", self.host]
        with self.network.inside(), (self.directory / "podman.log").open("ab") as log:
            self._service = _start(*words, stdout=log, stderr=log, env=os.environ | own)
        _wait(lambda: self.answers() or not _lives(self._service), START, "Podman answers")
        assert self.answers(), f"Podman ended while starting:\n{self.tail()}"
        self.client = docker.APIClient(base_url=self.host, version="auto", timeout=60)

    def close(self) -> None:
        """End it, and remove every trace."""
        made: list[str] = []
        if hasattr(self, "client"):
            with suppress(DockerException, OSError):
                made = [entry["Id"] for entry in self.client.containers(all=True)]
                for container in made:
                    self.client.remove_container(container, v=True, force=True)
            self.client.close()
        _end(getattr(self, "_service", None), signal.SIGKILL)  # and all in its namespaces
        groups = [path for one in made for path in CGROUPS.glob(f"*/libpod_parent/*{one}*")]
        for parent in CGROUPS.glob("*/libpod_parent"):
            groups += [parent / "conmon", parent]
        for group in groups:  # those that nobody is in
            with suppress(OSError):
                group.rmdir()
        shutil.rmtree(self.directory)
        self.network.close()

    def tail(self) -> str:
        """Return the end of what it wrote."""
        log = self.directory / "podman.log"
        return evidence.last_lines(evidence.end_of(log)) if log.exists() else ""


def ulimits() -> list[dict[str, Any]]:
    """Return limits that root may set here; by itself Podman raises that of processes."""
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return [
        {"Name": "nofile", "Soft": 4096, "Hard": 4096},
        {"Name": "nproc", "Soft": most, "Hard": most},
    ]


_shared: list[PodmanEngine] = []


def shared() -> PodmanEngine:
    """Return the one that all tests of a run use, started by the first of them."""
    if not _shared:
        _shared.append(PodmanEngine.needed(missing))
    return _shared[0]


def end_shared() -> None:
    """End it, if it was started."""
    while _shared:
        _shared.pop().close()
