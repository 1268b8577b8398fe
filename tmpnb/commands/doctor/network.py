"""What a server reaches, tried from inside one: for `tmpnb doctor --network`.

What would not answer by itself is played: the doctor listens on the ports of the service
while it looks, and on one of each address of this machine.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tmpnb.commands.doctor import ports
from tmpnb.errors import ConfigError
from tmpnb.proxy.choice import is_managed
from tmpnb.settings.service import Service
from tmpnb.spawners.egress import rules
from tmpnb.spawners.examination import Examination
from tmpnb.spawners.finding import Finding, fail, ok, skip, warn
from tmpnb.system.http import listen
from tmpnb.system.net import networks
from tmpnb.system.net.host_port import place
from tmpnb.system.net.networks import is_loopback

TOPIC = "reach"
SECCOMP = "tmpnb"  # the profile that closes what is tried
LOCAL_ADDRESSES = Path("/proc/net/fib_trie")
RESOLVE = 5.0  # seconds for one name
NO_EGRESS = "--egress=none"
FIREWALL = "tmpnb firewall --apply, as root on the engine's machine"
RANGES = rules.TRIED
PRIVATE_PORT = "let it listen on loopback, or on a network that no server is on"


@dataclass(frozen=True, slots=True)
class Place:
    """Something that a server might reach."""

    what: str
    at: tuple[str, ...]  # host:port or unix:/path; one is enough
    mend: str
    never: bool = True  # whether it must not be reached in any case
    outside: bool = False  # whether it must not be reached without egress
    welcome: bool = False  # whether it should be reached


def targets(switches: Sequence[str]) -> tuple[str, ...]:
    """Return the places of switches like --network-target=example.org:443. Pure.

    Raises:
        ConfigError: One is no place.
    """
    found = []
    for switch in sorted(switches):
        host, colon, port = switch.partition("=")[2].rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
            raise ConfigError(f"{switch}: write --network-target=host:port")
        found.append(place(host, port))
    return tuple(found)


async def findings(
    service: Service,
    examination: Examination,
    server_id: str,
    neighbour: str,
    wanted: Sequence[str],
) -> AsyncGenerator[Finding, None]:
    """Yield a finding for each place.

    Args:
        service: The settings.
        examination: Of the engine.
        server_id: From which it is tried; it runs.
        neighbour: The id of another server that runs.
        wanted: More places, host:port, that stand for the outside.
    """
    own = await examination.place_of(server_id)
    beside = await examination.place_of(neighbour)
    if own is None or beside is None or await examination.reached(server_id, [own]) != [True]:
        yield skip(TOPIC, "it cannot be tried from inside: the image has no python3, or no engine")
        return
    yield opening_finding(await examination.opened(server_id), examination.seccomp)
    with ExitStack() as stack:
        places = [place async for place in _of_the_service(service, examination, stack)]
        filtered = examination.filtered
        mend = FIREWALL if filtered else NO_EGRESS
        places.append(Place("another server", (beside,), mend, never=filtered, outside=True))
        places.append(_machine(stack, filtered=filtered))
        places += [target(at, filtered=filtered) for at in wanted]
        for place in places:
            answer = await examination.reached(server_id, place.at)
            yield judged(place, answer, closed=examination.closed)
    if filtered:
        yield ranges_finding(await examination.refused(server_id, RANGES))


def target(at: str, *, filtered: bool) -> Place:
    """Return what the operator named as a place. Pure.

    Args:
        at: host:port.
        filtered: Whether servers shall reach the internet, and nothing nearer.
    """
    if not filtered:
        return Place(at, (at,), NO_EGRESS, never=False, outside=True)
    address = networks.address(at.rpartition(":")[0])
    near = address is not None and rules.is_closed(address)
    return Place(at, (at,), FIREWALL, never=near, welcome=not near)


def opening_finding(opened: Mapping[str, bool] | None, profile: str) -> Finding:
    """Say whether a server opens what leads past the walls of its container. Pure.

    Args:
        opened: Whether it does, by the name of the way; None: it could not be tried.
        profile: Of system calls, as the operator asked for it.
    """
    if not opened:
        return skip(TOPIC, "vsock and io_uring: it could not be tried from inside")
    left = [name for name, is_open in opened.items() if is_open]
    if not left:
        return ok(TOPIC, f"a server can open no {' and no '.join(opened)}")
    words = f"a server can open {' and '.join(left)}"
    if profile == SECCOMP:  # and yet it does
        return fail(TOPIC, words, "see what seccomp says above: --seccomp=tmpnb is not in force")
    return warn(TOPIC, words, f"--seccomp={SECCOMP}")


def ranges_finding(refused: Sequence[bool | None] | None) -> Finding:
    """Say whether the firewall refuses what is no internet. Pure.

    Args:
        refused: For each of `RANGES` whether it does; None: it could not be tried, as where the
            range is the server's own network.
    """
    if refused is None:
        return skip(TOPIC, "the firewall's rules: they could not be tried")
    left = [str(one) for one, closed in zip(RANGES, refused, strict=True) if closed is False]
    if left:
        words = f"the firewall does not refuse {', '.join(left)} to servers"
        return fail(TOPIC, words, f"{FIREWALL}; what its --allow names is left open")
    near = [str(one) for one, closed in zip(RANGES, refused, strict=True) if closed is None]
    rest = f", but for {', '.join(near)}, which is their own network" if near else ""
    words = f"the firewall refuses servers all {len(RANGES)} closed ranges of IPv4{rest}"
    return ok(TOPIC, words)


def judged(place: Place, answer: Sequence[bool] | None, *, closed: bool) -> Finding:
    """Say whether it is well that a place was reached or not. Pure.

    Args:
        place: The place.
        answer: For each of its addresses whether it was; None: it could not be tried.
        closed: Whether servers shall reach nothing outside.
    """
    if answer is None:
        return skip(TOPIC, f"{place.what}: it could not be tried")
    if place.welcome:
        if any(answer):
            return ok(TOPIC, f"{place.what} is reached from a server")
        return warn(TOPIC, f"{place.what} is not reached from a server", "see whether it is there")
    at = next((at for at, reached in zip(place.at, answer, strict=True) if reached), None)
    if at is None:
        return ok(TOPIC, f"{place.what} is not reached from a server")
    words = f"{place.what} is reached from a server" + (f" at {at}" if at != place.what else "")
    if place.never or (place.outside and closed):
        return fail(TOPIC, words, place.mend)
    return warn(TOPIC, words, place.mend)


async def _of_the_service(
    service: Service, examination: Examination, stack: ExitStack
) -> AsyncGenerator[Place, None]:
    managed = is_managed(service.proxy, service.secrets)
    here = own_addresses()
    for port in ports.listed(service, managed=managed):
        if port.flag == "proxy-port":
            continue  # which is for all the world
        with suppress(ConfigError):  # it is in use, so somebody listens already
            for listening in listen.bind(port.flag, port.ip, port.number):
                stack.callback(listening.close)
        at = tuple(place(ip, port.number) for ip in here)
        yield Place(f"--{port.flag}={port.number}", at, PRIVATE_PORT)
    if not managed and service.proxy.endpoint:
        url = urlsplit(service.proxy.endpoint)
        hosts = await _resolved(url.hostname or "", here)
        at = tuple(place(host, url.port or 80) for host in hosts)
        yield Place("the proxy's API", at, PRIVATE_PORT)
    if examination.engine_at:
        yield Place("the engine", (examination.engine_at,), "keep its socket away from servers")


def _machine(stack: ExitStack, *, filtered: bool) -> Place:
    listening = stack.enter_context(socket.create_server(("0.0.0.0", 0)))  # noqa: S104 - to be reached
    port = listening.getsockname()[1]
    return Place(
        "a service of this machine that is not on loopback",
        tuple(place(ip, port) for ip in own_addresses()),
        FIREWALL if filtered else f"{NO_EGRESS}, and {FIREWALL}; or with --own-networks",
        never=filtered,
    )


def own_addresses() -> tuple[str, ...]:
    """Return the IPv4 addresses of this machine, or container, besides loopback."""
    try:
        return parsed(LOCAL_ADDRESSES.read_text())
    except OSError:
        return ()


def parsed(text: str) -> tuple[str, ...]:
    """Return the addresses in the kernel's table of routes. Pure."""
    local = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", text)
    return tuple(sorted({ip for ip in local if not is_loopback(ip)}))


async def _resolved(host: str, here: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses of a name; those of this machine for loopback."""
    loop = asyncio.get_running_loop()
    found: set[str] = set()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(RESOLVE):
            answers = await loop.getaddrinfo(host, None, family=socket.AF_INET)
        found = {str(answer[4][0]) for answer in answers}
    return tuple(here) if any(map(is_loopback, found)) else tuple(sorted(found))
