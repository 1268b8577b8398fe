"""What the engine is told of a server's container besides its image: bounds, mounts, network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import docker

from tmpnb.spawners.docker.hardening import limits as hardening
from tmpnb.spawners.docker.hardening.merge import bound_places, merged, mounted_places
from tmpnb.spawners.docker.image.user import Person
from tmpnb.spawners.docker.image.volumes import placing
from tmpnb.spawners.docker.options import LOOPBACK, NOWHERE, Options

CPU_PERIOD = 100_000  # microseconds in which a server may use its quota


def host_config(
    client: docker.APIClient,
    options: Options,
    port: int,
    person: Person,
    more_mounts: Sequence[Any] = (),
    network: str = "",
    published_at: str = LOOPBACK,
) -> dict[str, Any]:
    """Return the engine's settings for a server that listens on `port` and runs as `person`.

    Args:
        client: Knows which settings its version of the API has.
        options: Of all servers of a pool.
        port: In the container.
        person: Who runs the command.
        more_mounts: Of tmpnb's own.
        network: Where it is put; "" for the engine's own.
        published_at: Address of the engine's machine, if servers are published.
    """
    bounds = hardening.settings(options.limits, person, podman=options.kind.podman)
    placed = placing(options.limits, person)
    if "tmpfs" in bounds:
        mounted = mounted_places(options.mounts, options.extra_host_config)
        bounds["tmpfs"] = {p: o for p, o in bounds["tmpfs"].items() if p not in mounted}
    settings = merged(bounds, options.extra_host_config)
    if options.memory:
        settings.setdefault("mem_limit", options.memory)
        settings.setdefault("memswap_limit", settings["mem_limit"])  # no swap on top
    if options.cpu_quota:
        settings |= {"cpu_period": CPU_PERIOD, "cpu_quota": options.cpu_quota}
    if options.cpu_shares:
        settings["cpu_shares"] = options.cpu_shares
    if mounts := _mounts(options, settings, person, placed.read_only, more_mounts):
        settings["mounts"] = mounts
    if options.extra_hosts:
        settings = merged(settings, {"extra_hosts": options.extra_hosts})
    if options.published:
        settings = merged({"port_bindings": {port: (published_at,)}}, settings)
    if network or not options.published:
        settings["network_mode"] = "host" if options.host_network else network
    if options.egress == "none":  # else the engine may ask the outside in the server's place
        settings.setdefault("dns", [NOWHERE])
    config: dict[str, Any] = client.create_host_config(**settings)
    return config


def _mounts(
    options: Options,
    settings: Mapping[str, Any],
    person: Person,
    read_only: Sequence[str],
    more: Sequence[Any],
) -> list[Any]:
    """Return what is mounted besides a tmpfs; the operator's own goes before ours."""
    mounts = [
        docker.types.Mount(m.target, m.source, type="bind", read_only=m.read_only)
        for m in options.mounts
    ]
    mounts = [*settings.get("mounts", ()), *mounts, *more]
    taken = {str(mount["Target"]).rstrip("/") for mount in mounts}
    taken |= set(settings.get("tmpfs") or ()) | bound_places(settings.get("binds"))
    home = hardening.home_volume(options.limits, person)
    if home and home not in taken:
        mounts.append(docker.types.Mount(home, None, type="volume"))
    own = (place for place in read_only if place not in taken)
    return mounts + [docker.types.Mount(v, None, type="volume", read_only=True) for v in own]
