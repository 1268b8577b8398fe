"""Keep two orchestrators off one pool: each would take the other's servers for left-overs."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tmpnb.errors import ConfigError


@contextmanager
def state_held(state_dir: Path, pool_name: str) -> Iterator[None]:
    """Within the block, be the only one with this pool name and state directory.

    The system lets go of the lock when the process ends, however it ends.

    Raises:
        ConfigError: Somebody else is, or the directory cannot be used.
    """
    path = state_dir / f"{pool_name}.lock"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot use {path}: {error.strerror}; see --state-dir") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe would be waited for
        os.close(descriptor)
        raise ConfigError(f"cannot use {path}: not a plain file; remove it, or see --state-dir")
    with os.fdopen(descriptor, "r+", encoding="ascii", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = file.read(32).strip()
            raise _refusal(pool_name, f" (process {pid or 'unknown'})") from error
        with suppress(OSError):  # a full disk must not keep us from serving
            file.truncate(0)
            os.pwrite(file.fileno(), f"{os.getpid()}\n".encode(), 0)
        yield


@contextmanager
def engine_held(engine_id: str, pool_name: str) -> Iterator[None]:
    """Within the block, be the only one on this machine with this pool of this engine.

    Held by a name of the system that no file stands for, so that it works from any
    state directory and goes with the process. Programs in containers of their own see
    each other only if they share a network namespace.

    Args:
        engine_id: Names the engine; empty if nobody else can see its servers.
        pool_name: Names the pool.

    Raises:
        ConfigError: Somebody else is.
    """
    if not engine_id:
        yield
        return
    name = hashlib.sha256(f"{engine_id}\n{pool_name}".encode()).hexdigest()[:32]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        try:
            held.bind(f"\0tmpnb-{name}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise _refusal(pool_name, " with another state directory") from error
        yield


def _refusal(pool_name: str, who: str) -> ConfigError:
    return ConfigError(
        f"another tmpnb{who} runs the pool {pool_name} already; "
        "stop it, or give this one a name of its own with --pool-name"
    )
