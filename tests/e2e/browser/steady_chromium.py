#!/usr/bin/env python3
"""Chromium that does not hear of this machine's network interfaces, as a reader's elsewhere.

Each container that comes or goes adds or removes one. Chromium would learn that through a netlink
socket and give up the connections that it is making, with ERR_NETWORK_CHANGED. A seccomp filter
refuses netlink sockets to it and to what it starts; without one it takes the network for steady.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

SOCKET_CALL = {"x86_64": 41, "aarch64": 198}  # number of socket(2), by machine
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 38, 2  # linux/prctl.h, linux/seccomp.h
LOAD, JUMP_IF, RETURN = 0x20, 0x15, 0x06  # of a 32-bit word, if equal: linux/bpf_common.h
NUMBER, FIRST_ARGUMENT = 0, 16  # where they lie in struct seccomp_data
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EAFNOSUPPORT


class Program(ctypes.Structure):
    """struct sock_fprog: how many instructions there are, and where."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def instructions(socket_call: int) -> list[tuple[int, int, int, int]]:
    """Return the filter: code, jump if true, jump if false, operand."""
    return [
        (LOAD, 0, 0, NUMBER),
        (JUMP_IF, 0, 3, socket_call),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF, 0, 1, socket.AF_NETLINK),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]


def refuse_netlink() -> None:
    """Let this process, and all it starts, have no netlink socket.

    Raises:
        OSError: The kernel takes no filter, or none is known for this machine.
    """
    machine = platform.machine()
    if machine not in SOCKET_CALL:
        raise OSError(f"add the number of socket(2) on {machine} to SOCKET_CALL in {__file__}")
    steps = instructions(SOCKET_CALL[machine])
    program = Program(len(steps), b"".join(struct.pack("=HBBI", *step) for step in steps))
    libc = ctypes.CDLL(None, use_errno=True)
    none = ctypes.c_ulong(0)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), none, none, none):
        raise OSError(ctypes.get_errno(), "prctl: no new privileges")
    mode = ctypes.c_ulong(FILTER)
    if libc.prctl(PR_SET_SECCOMP, mode, ctypes.byref(program), none, none):
        raise OSError(ctypes.get_errno(), "prctl: seccomp filter")


if __name__ == "__main__":
    refuse_netlink()
    chromium = os.environ["TMPNB_CHROMIUM"]
    os.execv(chromium, [chromium, *sys.argv[1:]])  # noqa: S606 - that is what it is for
