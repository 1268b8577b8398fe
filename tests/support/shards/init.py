"""The first process of a shard: sets it up, starts its engine and its worker, reaps the dead.

`init.py RUN WORD...`; the kernel ends everything in the shard when this process ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.support.network_namespace import Network

FOR_ALL = "mode=1777"
# What programs write at fixed places is the shard's own.
PLACES = {"/run": "mode=755", "/run/lock": FOR_ALL, "/dev/shm": FOR_ALL}  # noqa: S108 - its own
ENGINE = Path(__file__).with_name("engine.py")


def mount_places() -> None:
    """Put empty file systems in memory where programs of two shards would meet."""
    for place, options in PLACES.items():
        Path(place).mkdir(exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpnb-shard", place]
        subprocess.run(words, check=True)  # noqa: S603 - fixed words


def reap_until(worker: int) -> int:
    """Collect every child that ends, adopted ones too; return the worker's exit code."""
    while True:
        pid, status = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(status)


def main(run: str, words: list[str]) -> int:
    """Set up the shard and run its worker; return its exit code.

    The worker begins in the network it was started from, since it reports to those who gave it
    its tests, and joins the shard's at the start of its session (`plugin.py`).
    """
    mount_places()
    network = Network()
    os.environ.pop("DOCKER_HOST", None)
    with network.inside():
        subprocess.Popen([sys.executable, str(ENGINE), run])  # noqa: S603 - our own
    os.environ["TMPNB_SHARD_NETWORK"] = network.path
    return reap_until(subprocess.Popen([sys.executable, *words]).pid)  # noqa: S603 - our own


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
