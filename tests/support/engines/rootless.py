"""Docker and Podman run by a user without rights, who exists for the test alone.

The user, his ranges of user ids and a network device that he may use are in a namespace of
mounts of the engine's own; so the machine's files stay as they are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import docker

from tests.e2e.faults.own_engine import _lives, _start, _wait
from tests.e2e.measure.benchmark import STUB_IMAGE
from tests.support.engines.docker import RealEngine
from tests.support.engines.podman import (
    CONTAINERS,
    NAMESPACES,
    NETAVARK,
    START,
    STORAGE,
    PodmanEngine,
)
from tests.support.requirements import missing
from tmpnb.spawners.docker.spawner import DockerSpawner

USER = 61_234  # his number; his further ones begin at RANGE
RANGE = 2_000_000_000
TUN = Path("/dev/net/tun")
DOCKERD = Path("/usr/share/docker.io/contrib/dockerd-rootless.sh")
COMMAND = "jupyter lab --ip={ip} --port={port} --ServerApp.base_url={base_path}"  # of the stub
PACKAGES = {
    "rootlesskit": "rootlesskit",
    "slirp4netns": "slirp4netns",
    "newuidmap": "uidmap",
    "podman": "podman",
    "catatonit": "catatonit",
    "runc": "runc",
    "iptables": "iptables",
    "docker": "docker.io",
}
BEGIN = """
set -e
directory=$1 user=$2
shift 2
mkdir -p /run/netns
for place in /run/netns /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs "$place"; done
for file in passwd subuid subgid; do mount --bind "$directory/etc/$file" "/etc/$file"; done
mknod -m 666 "$directory/etc/tun" c 10 200
mount --bind "$directory/etc/tun" /dev/net/tun
mount --make-rshared /
cd "$directory/home"
exec catatonit -- setpriv --reuid="$user" --regid="$user" --clear-groups env -i \\
  PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$directory/home" USER=tmpnb-test \\
  XDG_RUNTIME_DIR="$directory/run" CONTAINERS_CONF="$directory/containers.conf" \\
  CONTAINERS_STORAGE_CONF="$directory/storage.conf" "$@"
"""


class RootlessEngine(PodmanEngine):
    """An engine that an ordinary user runs, with the stub's image in it."""

    @classmethod
    def running(cls, name: str, missing: Callable[[str], NoReturn] = missing) -> RootlessEngine:
        """Return one of that name that answers, or call `missing` with what lacks."""
        if os.geteuid() != 0:
            missing("root, to make a user for a rootless engine")
        lacking = [package for word, package in PACKAGES.items() if shutil.which(word) is None]
        lacking += [] if NETAVARK.exists() else ["netavark"]
        lacking += [] if DOCKERD.exists() else ["docker.io"]
        if lacking:
            missing(f"rootless engines: apt-get install {' '.join(lacking)}")
        if not TUN.exists():
            missing(f"{TUN}, which slirp4netns uses")
        RealEngine.needed(missing).client.close()
        engine = cls()
        try:
            engine.begin_as_user(name)
            engine.fetch(STUB_IMAGE)
        except BaseException:
            engine.close()
            raise
        return engine

    def new_spawner(self, pool: str, command: str = COMMAND, **settings: object) -> DockerSpawner:
        """See `RealEngine`."""
        more = {"extra_host_config": {}, "image": STUB_IMAGE} | settings
        return super().new_spawner(pool, command, **more)

    def begin_as_user(self, name: str) -> None:
        """Start it; return once it answers."""
        self._write()
        words = ["podman", "system", "service", "--time=0", self.host]
        if name == "Docker":
            words = [
                "DOCKERD_ROOTLESS_ROOTLESSKIT_NET=slirp4netns",
                "DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=builtin",
                str(DOCKERD),
                f"--data-root={self.directory}/data",
                f"--exec-root={self.directory}/run/docker",
                f"--pidfile={self.directory}/run/docker.pid",
                f"--host={self.host}",
                "--storage-driver=vfs",
            ]
        begin = [*NAMESPACES.split(), "sh", "-c", BEGIN, "sh", str(self.directory), str(USER)]
        with self.network.inside(), (self.directory / "podman.log").open("ab") as log:
            self._service = _start(*begin, *words, stdout=log, stderr=log)
        _wait(lambda: self.answers() or not _lives(self._service), START, "the engine answers")
        assert self.answers(), f"the engine ended while starting:\n{self.tail()}"
        self.client = docker.APIClient(base_url=self.host, version="auto", timeout=60)

    def _write(self) -> None:
        for name in ("etc", "home", "run"):
            (self.directory / name).mkdir()
        storage = STORAGE.replace('"overlay"', '"vfs"')
        for name, text in (("containers", CONTAINERS), ("storage", storage)):
            (self.directory / f"{name}.conf").write_text(text.format(self.directory))
        passwd = Path("/etc/passwd").read_text()
        passwd += f"tmpnb-test:x:{USER}:{USER}::{self.directory}/home:/bin/sh\n"
        (self.directory / "etc" / "passwd").write_text(passwd)
        for name in ("subuid", "subgid"):
            (self.directory / "etc" / name).write_text(f"tmpnb-test:{RANGE}:65536\n")
        for path in (self.directory, self.directory / "home", self.directory / "run"):
            os.chown(path, USER, USER)
            path.chmod(0o700)
