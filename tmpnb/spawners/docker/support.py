"""Fit the settings to the engine that answers, and say once what of them does not hold there.

All of it blocks: call it through the door.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import docker
from docker.errors import DockerException
from docker.utils import parse_bytes

from tmpnb.errors import ConfigError
from tmpnb.spawners.docker.hardening import filtering
from tmpnb.spawners.docker.hardening import limits as docker_hardening
from tmpnb.spawners.docker.hardening.merge import weakened
from tmpnb.spawners.docker.hardening.unbounded import home_finding, unbounded
from tmpnb.spawners.docker.image import look
from tmpnb.spawners.docker.image.user import NOBODY
from tmpnb.spawners.docker.options import NOWHERE, Options
from tmpnb.spawners.docker_api.kind import Facts, Kind, honest, kind_of, missing_runtime
from tmpnb.spawners.finding import Finding, Level, fail, warn

log = logging.getLogger(__name__)


def fit(client: docker.APIClient, pool: str, options: Options, about: Facts) -> Options:
    """Return the options as this engine can keep them; log what it cannot.

    Args:
        client: Of the engine.
        pool: Whose servers they are for.
        options: As the operator wants them.
        about: What the engine says of itself.

    Raises:
        ConfigError: It can do nothing like it; the message says what to do.
    """
    wish, options = options.limits.seccomp, adapted(options, kind_of(about))
    limits = options.limits
    if reason := missing_runtime(about, limits.runtime):
        raise ConfigError(f"--runtime={limits.runtime}: {reason}")
    for gap in docker_hardening.gaps(honest(about), options.wanted):
        log.warning("not enforced by this engine: %s", gap)
    profile = filtering.finding(options)
    if limits.seccomp != wish and profile.level is Level.WARN:
        log.warning("%s; %s", profile.words, profile.mend)
    for finding in remarks(options):
        if finding.level is Level.FAIL:
            raise ConfigError(f"{finding.words}; {finding.mend}")
        log.warning("%s; %s", finding.words, finding.mend)
    if limits.disk and docker_hardening.may_bound_disk(about):
        can = look.bounds_disk(client, pool, options)
        options = replace(options, limits=replace(limits, disk_by_engine=can))
    if home := home_finding(about, options, tried=True):
        log.log(logging.WARNING if home.level is Level.WARN else logging.INFO, "%s", home.words)
    if gaps := unbounded(options):
        log.warning("%s", "; ".join(f"{gap.words} ({gap.mend})" for gap in gaps))
    return options


def adapted(options: Options, kind: Kind) -> Options:
    """Return the options for an engine of this kind. Pure.

    Its limits know the memory that a server has.

    Rootless Docker forwards ports by way of one address inside, so that two servers on
    addresses of their own would want the same port of it.

    Raises:
        ConfigError: `extra_host_config` has a `mem_limit` that is no size.
    """
    own_addresses = options.own_addresses and (kind.podman or not kind.rootless)
    limits = replace(
        options.limits,
        memory=memory_limit(options),
        seccomp=options.limits.seccomp.on(kind),
    )
    return replace(options, kind=kind, own_addresses=own_addresses, limits=limits)


def memory_limit(options: Options) -> int:
    """Return bytes that one server may use; 0: no limit. Pure.

    Raises:
        ConfigError: It is no size.
    """
    own = options.extra_host_config.get("mem_limit")
    try:
        return max(0, int(parse_bytes(own or options.memory)))
    except (DockerException, ValueError) as error:
        raise ConfigError(
            f"extra_host_config: mem_limit={own!r} is no size; write for example 512m"
        ) from error


def remarks(options: Options) -> list[Finding]:
    """Return what an operator of this kind of engine should know. Pure."""
    kind, found = options.kind, []
    if options.egress == "internet" and (kind.podman or kind.rootless):
        found.append(
            fail(
                "network",
                f"--egress=internet: the rules of tmpnb firewall do not reach"
                f" {'a rootless ' * kind.rootless}{kind.name}",
                "use a Docker that runs as root, or --egress=none",
            )
        )
    if kind.podman and kind.rootless and options.apart and not options.place:
        found.append(
            fail(
                "network",
                "--egress=none: nothing outside of a rootless Podman reaches such servers",
                "add --own-networks and the --docker-network of tmpnb and the proxy in containers,"
                " or use a Podman that runs as root",
            )
        )
    elif kind.rootless and not options.published and not options.host_network:
        found.append(
            warn(
                "network",
                f"servers on a network of a rootless {kind.name} are reached from its own"
                " containers only",
                "leave --docker-network out, unless tmpnb and the proxy are containers there",
            )
        )
    if options.egress == "none" and not options.apart and not kind.rootless:
        found.append(
            warn(
                "reach",
                "--egress=none without --own-networks: servers reach every service of the engine's"
                " machine that is not on loopback, unless its firewall has the rules of tmpnb",
                "tmpnb firewall --apply, as root on the engine's machine",
            )
        )
    if kind.rootless and options.host_network and not kind.podman:
        found.append(
            warn(
                "network",
                "the host's network of a rootless Docker is its own and not this machine's",
                "leave --host-network out",
            )
        )
    if kind.podman and options.mounts:
        found.append(
            warn(
                "mounts",
                "Podman makes directories of --host-directories that are missing",
                f"see that they are there: {', '.join(one.source for one in options.mounts)}",
            )
        )
    if kind.podman:
        found.append(
            warn(
                "restart",
                "Podman starts visitors' servers again after a restart of the machine only if"
                " it is told to",
                f"systemctl{' --user' * kind.rootless} enable podman-restart.service",
            )
        )
    return found + _weakened(options)


def _weakened(options: Options) -> list[Finding]:
    """Return what the operator's own settings of a container take away."""
    ours = docker_hardening.settings(options.limits, NOBODY, podman=options.kind.podman)
    if options.memory:
        ours |= {"mem_limit": options.memory, "memswap_limit": options.memory}
    if options.egress == "none":
        ours["dns"] = [NOWHERE]
    found = weakened(ours, options.extra_host_config)
    if not found:
        return []
    mend = "leave out of extra_host_config what servers can do without"
    return [warn("walls", f"extra_host_config weakens {'; '.join(found)}", mend)]
