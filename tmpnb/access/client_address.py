"""Who a request comes from: the visitor's address, behind proxies that are trusted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_network

from tmpnb.system.net import networks
from tmpnb.system.net.networks import Address, Addresses, Network

MOST_HOPS = 32  # addresses of one request that are looked at
SITE = 64  # bits of an IPv6 address that stand for one customer
ANONYMOUS = {4: 24, 6: 48}  # bits of an address that are left with --anonymize


@dataclass(frozen=True, slots=True)
class Client:
    """One visitor, or all who share an address.

    Attributes:
        address: Where the request comes from; None if that has no address.
    """

    address: Address | None

    @property
    def key(self) -> str:
        """What is counted as one: an IPv4 address, or the /64 of an IPv6 address."""
        if isinstance(self.address, IPv6Address):
            return str(IPv6Network((self.address, SITE), strict=False))
        return str(self.address)


def anonymized(address: Address) -> Network:
    """Return what may be shown and logged of an address with --anonymize: its network alone.

    That is 256 addresses in IPv4, and in IPv6 what one organization has as a rule.
    """
    return ip_network(
        (int(address).to_bytes(address.max_prefixlen // 8), ANONYMOUS[address.version]),
        strict=False,
    )


def shown(address: Address | None, *, anonymize: bool) -> str:
    """Return how a client's address is written wherever somebody may read it; empty for none."""
    if address is None:
        return ""
    return str(anonymized(address) if anonymize else address)


def client_of(peer: str, forwarded: str, trusted: Addresses) -> Client:
    """Return who asks: the last of `path_of`, to which the arguments are."""
    return Client(networks.without_zone(path_of(peer, forwarded, trusted)[-1]))


def path_of(peer: str, forwarded: str, trusted: Addresses) -> list[Address | None]:
    """Return by way of whom a request came, from the last proxy to the client; never empty.

    Each proxy appends the address it sees to what the client sent, so a client forges what
    stands on the left; only who is named by a trusted proxy counts. That is the right-most
    address that is not a trusted proxy's. Where there is no readable address, it is the last
    trusted proxy. Link-local addresses keep their zone.

    Args:
        peer: The address the connection comes from.
        forwarded: `X-Forwarded-For`, all of these headers joined by commas; may be anything.
        trusted: The addresses of proxies that append truthfully.
    """
    found = [networks.zoned_address(peer)]
    for hop in reversed(forwarded.rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
        if networks.without_zone(found[-1]) not in trusted:
            break
        named = networks.zoned_address(hop)
        if named is None:
            break
        found.append(named)
    return found
