"""A network namespace that no name keeps: it is gone with the last process in it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


class Network:
    """A network namespace with nothing but a loopback, for the calling thread to enter."""

    def __init__(self) -> None:
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _call(_libc().unshare, CLONE_NEWNET)
            self._own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            _raise_loopback()
        finally:
            self._enter(before)
            os.close(before)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be in it: sockets made and processes started here belong to it."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            self._enter(self._own)
            yield
        finally:
            self._enter(before)
            os.close(before)

    @property
    def path(self) -> str:
        """A file that stands for it, in this process and its children."""
        return f"/proc/{os.getpid()}/fd/{self._own}"

    @staticmethod
    def join(path: str) -> None:
        """Let the calling thread, and all that comes of it, be in the one at `path` for good."""
        with open(path, "rb") as namespace:
            _call(_libc().setns, namespace.fileno(), CLONE_NEWNET)

    def close(self) -> None:
        """Let go of it; the kernel removes it with its last process."""
        os.close(self._own)

    def _enter(self, namespace: int) -> None:
        _call(_libc().setns, namespace, CLONE_NEWNET)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(function: Callable[..., int], *arguments: int) -> None:
    if function(*arguments):
        raise OSError(ctypes.get_errno(), "network namespace")


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", answer)[1] | IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))
