"""What a Docker engine tells `tmpnb doctor`: itself, the image, the network, memory and disk."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network
from typing import TypeVar
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, NotFound

from tmpnb.errors import TmpnbError
from tmpnb.spawners.docker import facts
from tmpnb.spawners.docker import labels as listing
from tmpnb.spawners.docker.hardening import filtering, limits, versions
from tmpnb.spawners.docker.hardening.unbounded import home_finding, unbounded
from tmpnb.spawners.docker.image.user import person
from tmpnb.spawners.docker.image.volumes import declared, in_words, placing
from tmpnb.spawners.docker.networks import guard, reach
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker.support import adapted, remarks
from tmpnb.spawners.docker_api import address
from tmpnb.spawners.docker_api.kind import DOCKER, PODMAN, Facts, honest, kind_of, missing_runtime
from tmpnb.spawners.docker_api.threads import Lane, explain
from tmpnb.spawners.examination import Examination, ServerFacts, ServerNetwork
from tmpnb.spawners.finding import Finding, Level, fail, failure, ok, skip, warn
from tmpnb.system import units
from tmpnb.system.net.networks import is_loopback

PATIENCE = 15.0  # seconds for one question
REGISTRY = 40.0  # seconds for one that the engine passes on to a registry
LITTLE_DISK = 2 * 1024**3  # bytes: an image more, or a few visitors' files, and it is full
NO_DISK = 256 * 1024**2  # bytes

T = TypeVar("T")
F = TypeVar("F", Finding, Finding | None)


class DockerExamination(Examination):
    """Asks a Docker engine, over a connection of its own for each question."""

    has_images = True

    def __init__(
        self,
        options: Options,
        pool_name: str,
        lane: Lane,
        connect: Callable[[object], docker.APIClient],
    ) -> None:
        self._options, self._pool_name = options, pool_name
        self._lane, self._connect = lane, connect
        self.closed = options.egress == "none"
        self.filtered = options.egress == "internet"
        self.seccomp = options.limits.seccomp.name
        self.engine_at = reach.engine_at(address.address())

    async def findings(self, capacity: int) -> AsyncGenerator[Finding, None]:
        """See `Examination`."""
        try:
            said, version, about = await self._ask("asking Docker who it is", _introduction)
        except TmpnbError as error:
            yield failure("engine", str(error))
            for topic in ("image", "network", "memory", "limits", "seccomp", "disk"):
                yield skip(topic, "needs the engine")
            return
        where = address.shown(address.address())
        self._options = options = adapted(self._options, kind_of(about))
        self.shares = reach.shares(options)
        rootless = ", rootless," if options.kind.rootless else ""
        yield ok("engine", f"{version}{rootless} at {where}")
        for finding in versions.findings(said):
            yield finding
        if other := address.unfollowed():
            yield warn("context", *other.split("; ", 1))
        self.is_here = not options.kind.rootless and _is_here(about, where)
        honestly = honest(about)
        yield await self._checked("image", lambda c: image_finding(c, options.image), REGISTRY)
        if volumes := await self._checked("volumes", lambda c: volumes_finding(c, options)):
            yield volumes
        yield await self._checked("network", lambda c: network_finding(c, options, where))
        yield memory_finding(honestly, options.limits.memory, capacity)
        for finding in (
            *limits_findings(honestly, options),
            filtering.finding(options),
            *remarks(options),
            *unbounded(options),
        ):
            yield finding
        if home := home_finding(about, options):
            yield home
        yield disk_finding(about, where)

    async def server(self, server_id: str) -> ServerFacts:
        """See `Examination`."""
        wanted = listing.selection(self._pool_name, server_id)
        with suppress(TmpnbError, LookupError, ValueError):
            look = partial(facts.server_facts, wanted=wanted, options=self._options)
            return await self._ask("looking at a server", look)
        return ServerFacts()

    async def server_networks(self) -> list[ServerNetwork]:
        """See `Examination`."""
        with suppress(TmpnbError, LookupError):
            look = partial(reach.server_networks, options=self._options)
            return await self._ask("looking at the servers' networks", look)
        return []

    async def place_of(self, server_id: str) -> str | None:
        """See `Examination`."""
        wanted = listing.selection(self._pool_name, server_id)
        with suppress(TmpnbError, LookupError):
            look = partial(reach.place_of, wanted=wanted)
            return await self._ask("looking at a server", look)
        return None

    async def reached(self, server_id: str, places: Sequence[str]) -> list[bool] | None:
        """See `Examination`."""
        wanted = listing.selection(self._pool_name, server_id)
        look = partial(reach.reached, wanted=wanted, places=places)
        with suppress(TmpnbError, LookupError):
            return await self._ask("trying what a server reaches", look)
        return None

    async def opened(self, server_id: str) -> dict[str, bool] | None:
        """See `Examination`."""
        wanted = listing.selection(self._pool_name, server_id)
        look = partial(reach.opened, wanted=wanted)
        with suppress(TmpnbError, LookupError):
            return await self._ask("trying what a server opens", look)
        return None

    async def refused(
        self, server_id: str, ranges: Sequence[IPv4Network]
    ) -> list[bool | None] | None:
        """See `Examination`."""
        wanted, way_out = listing.selection(self._pool_name, server_id), self._options.way_out
        look = partial(guard.refused, wanted=wanted, network=way_out, ranges=ranges)
        with suppress(TmpnbError, LookupError):
            return await self._ask("trying what the firewall refuses", look, REGISTRY)
        return None

    async def _checked(
        self,
        topic: str,
        check: Callable[[docker.APIClient], F],
        seconds: float = PATIENCE,
    ) -> F | Finding:
        try:
            return await self._ask(f"asking for the {topic}", check, seconds)
        except TmpnbError as error:
            return failure(topic, str(error), "see what the engine's own log says")

    async def _ask(
        self, what: str, question: Callable[[docker.APIClient], T], seconds: float = PATIENCE
    ) -> T:
        def job(given_up: threading.Event) -> T:
            with closing(self._connect(given_up)) as client:
                return question(client)

        return await self._lane.run(what, job, seconds=seconds)


def image_finding(client: docker.APIClient, image: str) -> Finding:
    """Say whether the engine has the image, or could fetch it; nothing is fetched."""
    with suppress(NotFound):
        found = client.inspect_image(image)
        return ok("image", f"{image} is there, {units.in_words(found.get('Size') or 0)}")
    try:
        client.inspect_distribution(image)
    except APIError as error:
        if "is not supported" in str(error):  # Podman 4 does not ask for us
            return _not_there(image)
        return fail(
            "image",
            f"the engine does not have {image} and cannot fetch it: {explain(error)}",
            f"docker pull {image}, or docker build -t {image} DIRECTORY",
        )
    return _not_there(image)


def _not_there(image: str) -> Finding:
    return Finding(
        Level.WARN,
        "image",
        f"{image} is not there yet; tmpnb fetches it when it starts, which may take minutes",
        f"docker pull {image}",
        stops=True,
    )


def volumes_finding(client: docker.APIClient, options: Options) -> Finding | None:
    """Say what becomes of the volumes that the image declares; None if it is as it would be."""
    try:
        config = client.inspect_image(options.image).get("Config") or {}
    except NotFound:
        return None
    user = options.user or str(config.get("User") or "")
    who = replace(person(user, config.get("Env") or (), ()), volumes=declared(config))
    words = in_words(placing(options.limits, who, fills=not options.kind.podman))
    mend = "mount what servers should write to there by --host-directories or extra_host_config"
    return warn("volumes", words, mend) if words else None


def network_finding(client: docker.APIClient, options: Options, where: str) -> Finding:
    """Say where the servers will be reached."""
    if options.host_network:
        return ok("network", f"servers listen at {options.container_ip} of the engine's machine")
    if options.apart and not options.place:
        return ok("network", f"each server is on a network of its own, of {options.own_subnets}")
    if not options.place:
        if options.own_addresses:
            return ok("network", "servers are published at loopback addresses of their own")
        return published_finding(options.container_ip, where)
    try:
        driver = client.inspect_network(options.place).get("Driver")
    except NotFound:
        return ok("network", f"{options.place} is not there yet; it is made when tmpnb starts")
    return ok("network", f"{options.place} is there ({driver})")


def published_finding(ip: str, where: str) -> Finding:
    """Say whether servers published at `ip` can be reached from here. Pure.

    Args:
        ip: Of the engine's machine.
        where: The engine's address, as DOCKER_HOST has it.
    """
    host = urlsplit(where).hostname or ""
    if where.startswith(("unix:", "npipe:")) or is_loopback(host) or not is_loopback(ip):
        return ok("network", f"servers are published at {ip}, each on a free port")
    return fail(
        "network",
        f"servers are published at {ip} of the engine's machine, which is another one ({host})",
        f"--container-ip={host}, or another address of that machine that only this one reaches",
    )


def memory_finding(about: Facts, limit: int, capacity: int) -> Finding:
    """Say whether the engine's machine has the memory for all servers. Pure.

    Args:
        about: What the engine says about itself.
        limit: Bytes of one server; 0: none.
        capacity: Servers in all.
    """
    total = int(about.get("MemTotal") or 0)
    has = f"the engine's machine has {units.in_words(total)}"
    if not limit:
        return warn("memory", f"a server may take all there is: {has}", "--mem-limit=512m")
    if about.get("MemoryLimit") is False:
        return warn("memory", "this engine cannot limit memory", "enable the memory cgroup")
    most = f"{capacity} servers of {units.in_words(limit)} may take"
    words = f"{most} {units.in_words(capacity * limit)}, {has}"
    if capacity * limit > total:
        return warn("memory", words, "lower --pool-size or --mem-limit, if they really fill it")
    return ok("memory", words)


def limits_findings(about: Facts, options: Options) -> list[Finding]:
    """Say which bounds of a server the engine cannot enforce. Pure."""
    runtime = options.limits.runtime
    if reason := missing_runtime(about, runtime):
        return [fail("limits", reason, f"install {runtime} for the engine, or leave --runtime out")]
    gaps = limits.gaps(about, options.wanted)
    return [warn("limits", gap) for gap in gaps] or [
        ok("limits", "this engine enforces all bounds that are set, as far as it tells")
    ]


def disk_finding(about: Facts, where: str) -> Finding:
    """Say how much disk the engine has left, where this process can see it."""
    root = str(about.get("DockerRootDir") or "")
    if not (root and _is_here(about, where)):
        return skip("disk", "the engine's disk cannot be seen from here")
    try:
        free = shutil.disk_usage(root).free
    except OSError as error:
        return skip("disk", f"{root} of the engine cannot be seen: {error.strerror}")
    words = f"{units.in_words(free)} free in {root} of the engine"
    if free < NO_DISK:
        return fail("disk", words, "docker system prune, or a larger disk")
    if free < LITTLE_DISK:
        return warn("disk", words, "docker system prune, or a larger disk")
    return ok("disk", words)


def _introduction(client: docker.APIClient) -> tuple[Facts, str, Facts]:
    """Return what the engine says of its parts, of those in short, and of itself."""
    said = dict(client.version())
    return said, _version(client, said), dict(client.info())


def _is_here(about: Facts, where: str) -> bool:
    """Return whether the engine runs on this machine, and we in no container."""
    return where.startswith("unix:") and about.get("Name") == socket.gethostname()


def _version(client: docker.APIClient, said: Facts) -> str:
    parts = {str(part.get("Name")) for part in said.get("Components") or ()}
    name = PODMAN if "Podman Engine" in parts else DOCKER
    return f"{name} {said.get('Version')} (API {client.api_version})"
