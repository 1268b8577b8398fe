"""Combinations of settings that are allowed and hurt: what each means, and what to do. Pure."""

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
        cull_period: Seconds between looks for idle servers.
        start_timeout: Seconds that a server has to start.
    """
    yield from _of_time(policy, cull_period, start_timeout)
    yield from _of_clients(policy, access)
    yield from _of_bans(access)


def _of_time(policy: Policy, cull_period: float, start_timeout: float) -> Iterator[Caution]:
    for flag, limit, looks, who in (
        ("cull-timeout", policy.max_idle, 1, "an idle server"),
        ("cull-burning", policy.max_burning, 2, "a server that computes with nobody there"),
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
            f"--start-timeout={start_timeout:g} is so short that servers fail to start when the"
            " machine is busy, and the pool stays empty",
            "leave it out for 60 s",
        )
    if policy.ready_max_age <= start_timeout:
        yield (
            f"--ready-max-age={policy.ready_max_age:g} is no longer than"
            f" --start-timeout={start_timeout:g}: servers may be replaced as soon as they are"
            " ready, and the engine starts servers without end",
            "leave it out for a day",
        )


def _of_clients(policy: Policy, access: Access) -> Iterator[Caution]:
    if wide := _wide(access.trusted):
        yield (
            f"--trusted-proxies has {wide}: visitors can claim any address, so limits and bans"
            " hold nobody back",
            "name the proxies alone",
        )
    most = access.allowance.servers
    if most and (wide := _wide(access.exempt)):
        yield (
            f"--exempt-networks has {wide}: no limit holds for these addresses, and one of them"
            " can take every server",
            "name smaller networks, or say --client-servers=0 if that is meant",
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
            f"--banned-networks has {wide}: hardly anybody gets a notebook",
            "name the networks that misbehave",
        )
        return
    if any(banned.overlaps(network) for network in LOOPBACK):
        yield (
            "--banned-networks has loopback: nobody on this machine gets a notebook, nor do the"
            " visitors of a front server on it that sends no X-Forwarded-For",
            "leave loopback out of it",
        )
    if hit := next((n for n in access.trusted if banned.overlaps(n)), None):
        yield (
            f"--banned-networks has {hit} or a part of it, which --trusted-proxies names: visitors"
            " whom that proxy does not name get no notebook, perhaps nobody does",
            "leave the proxy out of it",
        )


def _wide(networks: Networks) -> str:
    """Return a network that is wider than any private one; empty if there is none."""
    return next((str(n) for n in networks if n.prefixlen < WIDE[n.version]), "")
