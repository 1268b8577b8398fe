"""The settings of who may take servers, and how many."""

from __future__ import annotations

from ipaddress import IPv4Network

from traitlets import Bool, Int, Unicode, default
from traitlets.config import Configurable

from tmpnb.access.banned import Banned
from tmpnb.access.limits import Allowance
from tmpnb.access.policy import Access
from tmpnb.system.net import networks
from tmpnb.system.net.gateway import gateway
from tmpnb.system.net.networks import Networks

LEAST_SERVERS = 2  # a client may have, by default, however small the pool
LEAST_RATE = 10  # servers that a client may take a minute, by default
GATEWAY = "gateway"
LOOPBACK = "127.0.0.0/8,::1"


class AccessSettings(Configurable):
    """Who may take servers, and how many."""

    pool_size: int

    client_servers = Int(
        min=0,
        help="""Servers that one address (in IPv6 one /64) may have or wait for at a time; 0: no
        limit. Raise it for a class behind one address.""",
    ).tag(config=True)
    client_rate = Int(
        min=0, help="Servers that one address may take, or try to take, a minute; 0: no limit."
    ).tag(config=True)
    exempt_networks = Unicode(
        LOOPBACK,
        help="""Networks without these limits, as a school's: 192.0.2.0/24,2001:db8::/32. In a
        container, gateway means the machine that it is on.""",
    ).tag(config=True)
    banned_networks = Unicode(
        "", help="Networks that get no server; or @file with them, read again when it changes."
    ).tag(config=True)
    anonymize = Bool(
        False,
        help="""Show and log the networks of clients in place of their addresses: the /24 in IPv4,
        the /48 in IPv6.""",
    ).tag(config=True)
    trusted_proxies = Unicode(
        "",
        help="""Networks of proxies before ours whose X-Forwarded-For is believed. Loopback and the
        proxy itself are in any case. In a container, gateway means the machine that it is on.""",
    ).tag(config=True)

    @default("client_servers")
    def _client_servers(self) -> int:
        return max(LEAST_SERVERS, self.pool_size // 4)

    @default("client_rate")
    def _client_rate(self) -> int:
        return max(LEAST_RATE, self.client_servers) if self.client_servers else 0

    def access(self) -> Access:
        """Return the settings as values.

        Raises:
            ConfigError: A network is none, or the file of banned ones cannot be read.
        """
        return Access(
            Allowance(self.client_servers, self.client_rate),
            trusted=_named(self.trusted_proxies, "--trusted-proxies"),
            named=_by_address(self.trusted_proxies, "--trusted-proxies"),
            exempt=_named(self.exempt_networks, "--exempt-networks"),
            banned=Banned(self.banned_networks),
            anonymize=self.anonymize,
        )


def _named(text: str, flag: str) -> Networks:
    """Return the networks of a flag, in which `gateway` is a word for this network's own."""
    found = _by_address(text, flag)
    machine = gateway() if GATEWAY in _words(text) else None
    return found if machine is None else Networks([*found, IPv4Network(machine)])


def _by_address(text: str, flag: str) -> Networks:
    """Return the networks of a flag without that word."""
    return Networks(networks.parse(" ".join(w for w in _words(text) if w != GATEWAY), flag))


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()
