"""The Docker engine of a shard, on a copy of the prepared images: `engine.py RUN`.

The copy is of links: layers of images are never written to, so all engines share their files.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.support.runtimes import daemon_json

SOCKET = "/run/docker.sock"
STATE = Path("/run/tmpnb-engine")  # "ready", or why it is not, once that is known
IMAGES = 900.0  # seconds until the images are built
START = 60.0  # seconds until the engine answers
PAUSE = 0.05  # seconds between two looks


def until_images(run: Path) -> str:
    """Return what the builder says at its end: nothing when all is well."""
    told, deadline = run / "images", time.monotonic() + IMAGES
    while not told.exists():
        if time.monotonic() > deadline:
            return f"the images are not built after {IMAGES:g} s"
        time.sleep(PAUSE)
    return told.read_text().strip()


def copy_images(run: Path, data: Path) -> None:
    """Fill the new data root `data` with the prepared images of a run.

    What an engine writes to is copied; layers are linked.
    """
    prepared = Path((run / "prepared").read_text().strip())
    with unchanged(prepared):
        for entry in sorted(prepared.iterdir()):
            how = "-al" if entry.name in ("overlay2", "vfs") else "-a"
            subprocess.run(["cp", how, str(entry), str(data / entry.name)], check=True)  # noqa: S603, S607 - our own words


@contextmanager
def unchanged(prepared: Path) -> Iterator[None]:
    """Let nobody build there meanwhile; the builder of another run in this folder holds the lock.

    Raises:
        TimeoutError: It does not end.
    """
    deadline = time.monotonic() + IMAGES
    with prepared.with_suffix(".lock").open("a") as lock:
        while True:  # until the deadline
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{prepared} is still built after {IMAGES:g} s") from None
                time.sleep(PAUSE)
        yield


def start(shard: Path, name: str) -> subprocess.Popen[bytes]:
    """Start the daemon."""
    config = shard / "daemon.json"
    config.write_text(daemon_json())
    with (shard / "dockerd.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own words
            [  # noqa: S607 - found as everybody finds it
                "dockerd",
                f"--config-file={config}",
                f"--data-root={shard}/data",
                "--exec-root=/run/docker",
                "--pidfile=/run/docker.pid",
                f"--host=unix://{SOCKET}",
                f"--storage-driver={driver(shard / 'data')}",
                f"--cgroup-parent=/{name}",
                "--exec-opt=native.cgroupdriver=cgroupfs",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def driver(data: Path) -> str:
    """Return the storage driver that the images were built with."""
    return "vfs" if (data / "vfs").exists() else "overlay2"


def answers(at: str) -> bool:
    """Whether a daemon answers now at a unix socket."""
    connection = http.client.HTTPConnection("localhost", timeout=2)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(2)
    try:
        connection.sock.connect(at)
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def until_it_answers(daemon: subprocess.Popen[bytes]) -> str:
    """Return nothing once it answers, or why it does not."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            return f"it ended with {daemon.returncode}"
        if answers(SOCKET):
            return ""
        time.sleep(PAUSE)
    return f"it does not answer after {START:g} s"


def run_engine(run: Path, shard: Path, name: str) -> str:
    """Return nothing once the engine runs, or why it does not."""
    if shutil.which("dockerd") is None:
        return "no dockerd: apt-get install docker.io iptables"
    if trouble := until_images(run):
        return trouble
    (shard / "data").mkdir()
    copy_images(run, shard / "data")
    trouble = until_it_answers(start(shard, name))
    return f"the engine of {name}: {trouble}" if trouble else ""


def main(run: Path) -> None:
    """Start the engine, and say in `STATE` how that went."""
    try:
        trouble = run_engine(run, Path(os.environ["TMPNB_SHARD"]), os.environ["TMPNB_SHARD_NAME"])
    except (OSError, subprocess.SubprocessError) as error:
        trouble = str(error)
    written = STATE.with_suffix(".new")
    written.write_text(trouble or "ready")
    written.rename(STATE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
