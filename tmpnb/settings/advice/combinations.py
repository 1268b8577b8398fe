"""Combinations of settings that are allowed but harmful: what each means, what to do. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tmpnb.access.policy import Access
from tmpnb.core.plan import Policy
from tmpnb.system.net.networks import LOOPBACK, Networks

Caution = tuple[str, str]  # what is so, and what to do about it

FEW_SERVERS = 2  # that a client may have by default, however small the pool is
QUICKEST = 10.0  # seconds in which a notebook server starts, if the machine is busy
WIDE = {4: 8, 6: 7}  # bits of the prefix: no private network is wider


def cautions(
    policy: Policy, access: Access, *, cull_period: float, start_timeout: float
) -> Iterator[Caution]:
    """Yield what the operator should know.

    Args:
        policy: When servers start and end.
        access: Who may take them.
        cull_period: Seconds between checks for idle servers.
        start_timeout: Seconds that a server has to start.
    """
    yield from _of_time(policy, cull_period, start_timeout)
    yield from _of_clients(policy, access)
    yield from _of_bans(access)


def _of_time(policy: Policy, cull_period: float, start_timeout: float) -> Iterator[Caution]:
    for flag, limit, looks, who in (
        ("cull-timeout", policy.max_idle, 1, "an idle server"),
        ("cull-burning", policy.max_burning, 2, "a server that computes unattended"),
    ):
        if cull_period > limit:
            latest = min(limit + looks * cull_period, policy.max_age)
            yield (
                f"--cull-period={cull_period:g} is longer than --{flag}={limit:g}: {who} is"
                f" stopped after up to {latest:g} s",
                f"set --cull-period to {math.ceil(limit / 2)} or less",
            )
    if start_timeout < QUICKEST:
        yield (
            f"--start-timeout={start_timeout:g} is so short that servers fail to start "
            "on a busy machine and the pool stays empty",
            "leave it out to use 60 s",
        )
    if policy.ready_max_age <= start_timeout:
        yield (
            f"--ready-max-age={policy.ready_max_age:g} is no longer than "
            f"--start-timeout={start_timeout:g}: servers may be replaced as soon as "
            "they are ready, so the engine keeps starting servers forever",
            "leave it out to use one day",
        )


def _of_clients(policy: Policy, access: Access) -> Iterator[Caution]:
    if wide := _wide(access.trusted):
        yield (
            f"--trusted-proxies has {wide}: visitors can pretend to have any address, "
            "so limits and bans have no effect",
            "list only the proxies",
        )
    most = access.allowance.servers
    if most and (wide := _wide(access.exempt)):
        yield (
            f"--exempt-networks has {wide}: no limit applies to these addresses, and "
            "one of them can take every server",
            "use smaller networks, or set --client-servers=0 if you mean no limit",
        )
    if most > max(policy.capacity, FEW_SERVERS):
        yield (
            f"--client-servers={most} is more than --pool-size={policy.capacity}: one address can"
            " take every server",
            "lower --client-servers",
        )


def _of_bans(access: Access) -> Iterator[Caution]:
    banned = access.banned.networks
    if wide := _wide(banned):
        yield (
            f"--banned-networks has {wide}: hardly anyone gets a notebook",
            "list only the networks that misbehave",
        )
        return
    if any(banned.overlaps(network) for network in LOOPBACK):
        yield (
            "--banned-networks includes loopback: nobody on this machine gets a "
            "notebook, nor do visitors of a reverse proxy on it that sends no "
            "X-Forwarded-For",
            "remove loopback from it",
        )
    if hit := next((n for n in access.trusted if banned.overlaps(n)), None):
        yield (
            f"--banned-networks overlaps {hit}, which is in --trusted-proxies: visitors "
            "that proxy does not identify get no notebook, perhaps nobody does",
            "remove the proxy from it",
        )


def _wide(networks: Networks) -> str:
    """Return a network that is wider than any private one; empty if there is none."""
    return next((str(n) for n in networks if n.prefixlen < WIDE[n.version]), "")
