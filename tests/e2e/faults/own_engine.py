"""A Docker engine of the suite's own, which a test may kill: own network, own directories.

It lives in a network namespace that no name keeps: it is gone with the last process in
it. A test enters it (`inside`), and so does all that the test starts: the service, its
proxy, the client. The machine's own engine is only asked for the image.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker

from tests.support import evidence
from tests.support.engines.docker import RealEngine
from tests.support.network_namespace import Network
from tests.support.requirements import missing
from tests.support.runtimes import daemon_json
from tests.support.shards.engine import answers, copy_images

START = 60.0  # seconds until the engine answers
END = 45.0  # seconds until a process of the engine has ended
PAUSE = 0.05  # seconds between two looks
CGROUPS = Path("/sys/fs/cgroup")
NEEDED = ("dockerd", "containerd", "containerd-shim-runc-v2", "iptables", "docker")

CONTAINERD = """\
version = 2
root = "{0}/containerd"
state = "{0}/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{0}/containerd.sock"
"""


class OwnEngine(RealEngine):
    """An engine whose daemon may be ended and started again at will."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(6)
        self.network = Network()
        self.directory = Path(tempfile.mkdtemp(prefix="tmpnb-engine-"))
        self._cgroup, self._data = f"tmpnb-test-{self.run}", self.directory / "data"
        if shard := os.environ.get("TMPNB_SHARD"):
            # In the shard's places, which are removed when a run is interrupted.
            self._cgroup = f"{os.environ['TMPNB_SHARD_NAME']}/{self._cgroup}"
            self._data = Path(shard) / f"own-{self.run}"
        self._live_restore = False
        self._containerd: subprocess.Popen[bytes] | None = None
        self._dockerd: subprocess.Popen[bytes] | None = None

    @classmethod
    def running(cls, *images: str) -> OwnEngine:
        """Return one that answers and has `images`, or skip for what the machine lacks."""
        machine = RealEngine.needed(missing)
        machine.client.close()
        if os.geteuid() != 0:
            missing("root, for an engine of the suite's own")
        for program in NEEDED:
            if shutil.which(program) is None:
                missing(f"{program}: apt-get install docker.io iptables")
        try:
            engine = cls()
        except OSError as error:
            missing(f"the right to make a network namespace ({error})")
        try:
            is_prepared = engine.prepare()
            engine.start()
            engine.wait_until_it_answers()
            engine.client = docker.APIClient(base_url=engine.host, version="auto", timeout=20)
            if not is_prepared:
                engine.fetch(*images)
        except BaseException:
            engine.close()
            raise
        return engine

    @property
    def host(self) -> str:
        """What DOCKER_HOST must be. A socket in the file system is in no network."""
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> str:
        return f"{self.directory}/docker.sock"

    def start(self, *, live_restore: bool = False) -> None:
        """Start the daemon, and containerd unless it still runs. Does not wait."""
        if not _lives(self._containerd):
            config = self.directory / "containerd.toml"
            config.write_text(CONTAINERD.format(self.directory))
            self._containerd = self._spawn("containerd", f"--config={config}")
        assert not _lives(self._dockerd), "the daemon runs already"
        self._live_restore = live_restore
        config = self.directory / "daemon.json"
        config.write_text(daemon_json())
        self._dockerd = self._spawn(
            "dockerd",
            f"--config-file={config}",
            f"--containerd={self.directory}/containerd.sock",
            f"--data-root={self._data}",
            f"--exec-root={self.directory}/run/docker",
            f"--pidfile={self.directory}/docker.pid",
            f"--host={self.host}",
            f"--storage-driver={_storage_driver(self._data.parent)}",
            f"--cgroup-parent=/{self._cgroup}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            f"--live-restore={str(live_restore).lower()}",
        )

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send the daemon a signal; return when it has ended. Containerd stays."""
        _end(self._dockerd, number)

    def signal(self, number: int) -> None:
        """Send the daemon a signal that does not end it."""
        assert self._dockerd is not None
        self._dockerd.send_signal(number)

    def begin(self, *, live_restore: bool = False) -> None:
        """Have it run with nothing in it, whatever the last test left behind."""
        self.take_part()
        if self._live_restore != live_restore and _lives(self._dockerd):
            self.stop()
        if not _lives(self._dockerd):
            self.start(live_restore=live_restore)
        self.wait_until_it_answers()
        for entry in self.client.containers(all=True):
            self.client.remove_container(entry["Id"], v=True, force=True)

    def power_cut(self) -> None:
        """End everything at once and forget what lay in memory, as when the machine goes down."""
        for process in (self._dockerd, self._containerd):
            _end(process, signal.SIGKILL)
        self._kill_left()
        self._unmount()
        shutil.rmtree(self.directory / "run", ignore_errors=True)

    def answers(self) -> bool:
        """Whether the daemon answers now."""
        return answers(self._socket)

    def wait_until_it_answers(self) -> None:
        _wait(lambda: self.answers() or not _lives(self._dockerd), START, "the engine answers")
        assert self.answers(), f"the engine ended while starting:\n{self.tail()}"

    def prepare(self) -> bool:
        """Begin with the images that were prepared for shards; return whether this is one."""
        if "TMPNB_SHARD_RUN" not in os.environ:
            return False
        self._data.mkdir()
        copy_images(Path(os.environ["TMPNB_SHARD_RUN"]), self._data)
        return True

    def fetch(self, *images: str) -> None:
        """Take images over from the machine's engine."""
        docker_save = _start("docker", "save", *images, stdout=subprocess.PIPE)
        try:
            _run("docker", f"--host={self.host}", "load", "--quiet", stdin=docker_save.stdout)
        finally:
            assert docker_save.stdout is not None
            docker_save.stdout.close()
            _end(docker_save, signal.SIGKILL)

    def close(self) -> None:
        """End it and remove every trace: processes, mounts, control groups, files."""
        client = getattr(self, "client", None)
        if client is not None:
            client.close()
        self.power_cut()
        for group in _directories(self._cgroups()):
            with suppress(FileNotFoundError):
                group.rmdir()
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.rmtree(self.directory)
        self.network.close()

    def take_part(self) -> None:
        """Have its last words shown if the test that runs fails."""
        evidence.of("engine of the tests' own: last lines of its log", self.tail)

    def tail(self) -> str:
        """Return the end of what the daemon wrote."""
        log = self.directory / "dockerd.log"
        return evidence.last_lines(evidence.end_of(log)) if log.exists() else ""

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self.network.inside(), (self.directory / f"{program}.log").open("ab") as log:
            return _start(program, *arguments, stdout=log, stderr=log)

    def _kill_left(self) -> None:
        """End the shims, which carry our directory in their arguments, and the containers."""

        def left() -> list[int]:
            ours = f"{self.directory}/".encode()
            shims = [p for p in _processes() if ours in _arguments(p) and p != os.getpid()]
            return [*shims, *self._in_cgroups()]

        def all_gone() -> bool:
            for process in left():
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return not left()

        _wait(all_gone, END, "the last process of the engine ends")

    def _cgroups(self) -> list[Path]:
        found = [CGROUPS / self._cgroup, *CGROUPS.glob(f"*/{self._cgroup}")]
        return [path for path in found if path.is_dir()]

    def _in_cgroups(self) -> set[int]:
        found: set[int] = set()
        for group in _directories(self._cgroups()):
            with suppress(OSError):
                found |= {int(p) for p in (group / "cgroup.procs").read_text().split()}
        return found

    def _unmount(self) -> None:
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        places = (f"{self.directory}/", f"{self._data}/")
        ours = [mount for mount in mounts if mount.startswith(places)]
        for mount in sorted(ours, reverse=True):
            _run("umount", "--lazy", mount)


def _storage_driver(directory: Path) -> str:
    """Return overlay2 unless the directory itself lies on an overlay or in memory."""
    kind = _run("stat", "--file-system", "--format=%T", str(directory)).stdout.strip()
    return "vfs" if kind in (b"overlayfs", b"tmpfs") else "overlay2"


def _start(*words: str, **files: Any) -> subprocess.Popen[bytes]:
    # In a session of its own, so that Ctrl-C in the terminal is not for it.
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True, **files)  # noqa: S603 - our own words


def _run(*words: str, **files: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(words, check=True, timeout=START, capture_output=True, **files)  # noqa: S603 - our own words


def _lives(process: subprocess.Popen[bytes] | None) -> bool:
    return process is not None and process.poll() is None


def _end(process: subprocess.Popen[bytes] | None, number: int) -> None:
    if process is not None:
        process.send_signal(number)
        process.wait(END)


def _wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(PAUSE)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _arguments(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def _directories(roots: list[Path]) -> list[Path]:
    """Return the roots and all below them, the deepest first."""
    return [Path(path) for root in roots for path, _, _ in os.walk(root, topdown=False)]
