"""Start a pytest worker in a shard: `enter.py RUN STORE WORD...` for `python WORD...`.

A shard is a world of its own: namespaces of network, mounts, processes and System V objects, its
own Docker engine, and its own places for temporary files. All of it ends with this process, even
where this process is killed; only directories and control groups stay, for `scripts/shard-sweep`.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

UNSHARE = "unshare --mount --pid --ipc --fork --kill-child --mount-proc"
INIT = Path(__file__).with_name("init.py")


def new_number(run: Path) -> int:
    """Return the first number that no shard of this run has, and take it."""
    for number in count(1):
        try:
            (run / str(number)).mkdir()
            (run / str(number)).chmod(0o1777)  # as /tmp is
        except FileExistsError:
            continue
        return number
    raise AssertionError  # numbers do not end


def main(run: Path, store: Path, words: list[str]) -> None:
    """Become the shard.

    Args:
        run: Where the run keeps what is short-lived; its path is short, as sockets are in it.
        store: Where it keeps what is large, in the file system of the prepared images.
        words: What Python is told to do in there.
    """
    number = new_number(run)
    (store / str(number)).mkdir()
    os.setsid()  # Ctrl-C in the terminal is for the one that gives out the tests
    (run / f"{number}.shard").write_text(f"{os.getpid()}\n")
    os.environ["TMPNB_SHARD_RUN"] = str(run)
    os.environ["TMPNB_ENGINE_LOG"] = str(store / str(number) / "dockerd.log")
    os.environ["TMPDIR"] = str(run / str(number))
    os.environ["TMPNB_SHARD"] = str(store / str(number))
    os.environ["TMPNB_SHARD_NAME"] = f"{run.name}-{number}"
    program = [*UNSHARE.split(), sys.executable, str(INIT), str(run), *words]
    os.execvp(program[0], program)  # noqa: S606 - our own words


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
