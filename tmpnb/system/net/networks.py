"""Addresses and networks as operators and proxies write them. Pure."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol
from urllib.parse import urlsplit

from tmpnb.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Addresses(Protocol):
    """A set of addresses, known by whether one is in it."""

    def __contains__(self, one: Address | None, /) -> bool:
        """Whether it is."""
        ...


LONGEST = 64  # characters of one address
_MAPPED = 96  # bits of the prefix before an IPv4 address in an IPv6 one
_COMMENT = re.compile(r"#.*")
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


def address(text: str) -> Address | None:
    """Return the address that `text` is, an IPv4-mapped one as IPv4; None if it is none.

    A port behind it is left out, and so is the zone of a link-local address.
    """
    return without_zone(zoned_address(text))


def without_zone(one: Address | None) -> Address | None:
    """Return an address as it is at the other end."""
    zone = isinstance(one, IPv6Address) and one.scope_id
    return IPv6Address(int(one)) if one is not None and zone else one


def zoned_address(text: str) -> Address | None:
    """Return what `address` does, a link-local one with the zone if it is there.

    The zone is the interface by which it is reached from the machine that saw it.
    """
    word = text.strip(" \t")
    if len(word) > LONGEST:
        return None
    with_port = _WITH_PORT.fullmatch(word)
    if with_port is not None:
        word = with_port[1] or with_port[2] or ""
    try:
        found = ipaddress.ip_address(word.partition("%")[0])
        if found.is_link_local and "%" in word:
            return ipaddress.ip_address(word)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@functools.lru_cache(maxsize=10_000)  # asked for every server at every claim
def host_address(url: str) -> Address | None:
    """Return the address of the host in `http://host:port`; None if that is a name."""
    return address(urlsplit(url).hostname or "")


def host_addresses(urls: Iterable[str]) -> set[Address]:
    """Return the addresses of the hosts in URLs, but for names and this machine's own."""
    found = {host_address(url) for url in urls}
    return {a for a in found if a is not None and not a.is_loopback}


def _shift(version: int, bits: int) -> int:
    return (32 if version == 4 else 128) - bits


def _network_of(version: int, bits: int, prefix: int) -> Network:
    first = prefix << _shift(version, bits)
    return IPv4Network((first, bits)) if version == 4 else IPv6Network((first, bits))


class Networks:
    """A set of networks that can be asked quickly, however many they are."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._prefixes: dict[tuple[int, int], set[int]] = defaultdict(set)  # (version, bits)
        for network in networks:
            key = network.version, network.prefixlen
            self._prefixes[key].add(int(network.network_address) >> _shift(*key))

    def __contains__(self, one: Address | None) -> bool:
        if one is None:
            return False
        return any(
            version == one.version and int(one) >> _shift(version, bits) in prefixes
            for (version, bits), prefixes in self._prefixes.items()
        )

    def __iter__(self) -> Iterator[Network]:
        for (version, bits), prefixes in self._prefixes.items():
            for prefix in prefixes:
                yield _network_of(version, bits, prefix)

    def overlaps(self, other: Network) -> bool:
        """Whether an address of another network is in one of these."""
        base = int(other.network_address)
        for (version, bits), prefixes in self._prefixes.items():
            if version != other.version:
                continue
            if bits <= other.prefixlen:
                if base >> _shift(version, bits) in prefixes:
                    return True
            else:
                wider = base >> _shift(version, other.prefixlen)
                if any(prefix >> (bits - other.prefixlen) == wider for prefix in prefixes):
                    return True
        return False

    def __len__(self) -> int:
        return sum(len(prefixes) for prefixes in self._prefixes.values())


LOOPBACK = Networks([IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")])


def parse(text: str, where: str) -> list[Network]:
    """Return the networks in a list: separated by commas, blanks or lines, `#` for comments.

    Args:
        text: `10.0.0.0/8, 2001:db8::/32, 192.0.2.7`.
        where: The flag or file, for the message.

    Raises:
        ConfigError: One of them is no network; in one line.
    """
    words = (w for line in text.splitlines() for w in re.split(r"[\s,]+", _COMMENT.sub("", line)))
    return [_network(word, where) for word in words if word]


def _network(word: str, where: str) -> Network:
    try:
        loose = ipaddress.ip_network(word, strict=False)
    except ValueError as error:
        raise ConfigError(
            f"{where}: {word!r} is no network; write 192.0.2.0/24 or 2001:db8::/32"
        ) from error
    if str(loose.network_address) != str(ipaddress.ip_interface(word).ip):
        raise ConfigError(f"{where}: {word} has bits behind its prefix; write {loose}")
    mapped = loose.network_address.ipv4_mapped if isinstance(loose, IPv6Network) else None
    if mapped is not None and loose.prefixlen >= _MAPPED:
        return IPv4Network((mapped, loose.prefixlen - _MAPPED))
    return loose


def is_loopback(ip: str) -> bool:
    """Whether only this machine reaches the address."""
    if ip == "localhost":
        return True
    try:
        return ipaddress.ip_address(ip).is_loopback
    except ValueError:
        return False
