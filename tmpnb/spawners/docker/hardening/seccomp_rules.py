"""Build the profile of seccomp that servers have by default, in the engine's words. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tmpnb.spawners.docker.hardening.seccomp_calls import ABSENT, ALLOWED, DEBUGGERS


def _scmp(kind: str, name: str) -> str:
    """Return a word of the format."""
    return f"SCMP_{kind}_{name}".upper()


ALLOW, REFUSE = _scmp("act", "allow"), _scmp("act", "errno")
MASKED = _scmp(
    "cmp", "masked_eq"
)  # of the bits that the kernel looks at; the others may be anything
WHOLE = 0xFFFFFFFF  # an int
ARCHITECTURES = ("x86_64", "aarch64", "riscv64", "ppc64le", "s390x")  # none of 32 bits, no x32
ENOSYS, EPROTONOSUPPORT = 38, 93  # of Linux, which this machine need not be
BACKWARD = ("s390", "s390x")  # where clone has its flags second
PTRACE_IS_FILTERED = "4.8"  # since this Linux

# linux/sched.h: CLONE_NEWNS, and so on for control groups, host names, IPC, users, PIDs, network
_NEW = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
NAMESPACES = sum(_NEW)
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16  # sys/socket.h
STREAM, DATAGRAM, RAW, KIND = 1, 2, 3, 0xF  # the latter: all bits that say the type
ANY, ICMP, TCP, UDP, ICMP6 = 0, 1, 6, 17, 58  # netinet/in.h
ROUTES, AUDIT = 0, 9  # linux/netlink.h: what getifaddrs and `ip` read; what sudo writes to
# sys/socket.h: what goes past the routing table, so to any address as if it were a neighbour. The
# bits are as many as options of sockets, and places for them, have.
PAST_ROUTES = 0x4  # MSG_DONTROUTE
FLAGS_OF = {"sendto": 3, "sendmsg": 2, "sendmmsg": 3}  # which argument they are
SOCKETS_OWN, SOCKETS_OWN_BITS = 1, 9  # SOL_SOCKET
SET_PAST_ROUTES, SET_PAST_ROUTES_BITS = 5, 7  # SO_DONTROUTE
PERSONALITIES = (0x0, 0x8, 0xFFFFFFFF)  # Linux; that of 32 bits, by name alone; which it is

Rule = dict[str, Any]


def profile() -> dict[str, Any]:
    """Return the profile."""
    return {
        "defaultAction": REFUSE,
        "archMap": [
            {"architecture": _scmp("arch", name), "subArchitectures": []} for name in ARCHITECTURES
        ],
        "syscalls": [*_plain(), *_namespaces(), *_sockets(), *_sending(), *_personalities()],
    }


def text() -> str:
    """Return the profile as `seccomp_profile.json` has it."""
    return json.dumps(profile(), indent=2) + "\n"


def _plain() -> Iterator[Rule]:
    for group in ALLOWED:
        yield {"names": list(group.calls), "action": ALLOW, "comment": f"{group.name}: {group.why}"}
    kernel = {"minKernel": PTRACE_IS_FILTERED}
    why = f"{DEBUGGERS.name}: {DEBUGGERS.why}"
    yield {"names": list(DEBUGGERS.calls), "action": ALLOW, "comment": why, "includes": kernel}
    why = f"{ABSENT.name}: {ABSENT.why}"
    yield {"names": list(ABSENT.calls), "action": REFUSE, "errnoRet": ENOSYS, "comment": why}


def _namespaces() -> Iterator[Rule]:
    why = "processes and threads, but no namespaces: within one, much more of the kernel is open"
    for place, condition in ((0, "excludes"), (1, "includes")):
        bits = _argument(place, 0, NAMESPACES)
        machines = {"arches": list(BACKWARD)}
        yield {**_rule("clone", why, bits), condition: machines}


def _sockets() -> Iterator[Rule]:
    yield _rule("socket", "within the container", _argument(0, UNIX))
    yield _rule("socketpair", "within the container", _argument(0, UNIX))
    wanted = ((STREAM, (ANY, TCP)), (DATAGRAM, (ANY, UDP)))
    for family, ping in ((INET, ICMP), (INET6, ICMP6)):
        for kind, protocols in (*wanted, (DATAGRAM, (ping,))):
            for protocol in protocols:
                yield _rule(
                    "socket",
                    "TCP, UDP and ping; no SCTP, DCCP or other protocol that is seldom looked at",
                    _argument(0, family),
                    _argument(1, kind, KIND),
                    _argument(2, protocol),
                )
        raw = _argument(1, RAW, KIND)
        yield _rule("socket", "takes a capability", _argument(0, family), raw)
    netlink = _argument(0, NETLINK)
    yield _rule("socket", "addresses of the container", netlink, _argument(2, ROUTES))
    audit = _rule("socket", "sudo and useradd do without", netlink, _argument(2, AUDIT))
    yield {**audit, "action": REFUSE, "errnoRet": EPROTONOSUPPORT}


def _sending() -> Iterator[Rule]:
    why = "by the routing table: past it, a server asks the machine for any number of neighbours"
    for call, place in FLAGS_OF.items():
        yield _rule(call, why, _argument(place, 0, PAST_ROUTES))
    for place, value, bits in (
        (1, SOCKETS_OWN, SOCKETS_OWN_BITS),
        (2, SET_PAST_ROUTES, SET_PAST_ROUTES_BITS),
    ):
        for bit in (1 << number for number in range(bits)):
            # Another value differs from this one in at least one bit.
            yield _rule("setsockopt", "all but that", _argument(place, ~value & bit, bit))


def _personalities() -> Iterator[Rule]:
    for value in PERSONALITIES:
        yield _rule("personality", "none that weakens a process", _argument(0, value))


def _rule(name: str, why: str, *arguments: Rule) -> Rule:
    return {"names": [name], "action": ALLOW, "comment": why, "args": list(arguments)}


def _argument(index: int, value: int, bits: int = WHOLE) -> Rule:
    return {"index": index, "value": bits, "valueTwo": value, "op": MASKED}
