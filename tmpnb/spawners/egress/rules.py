"""The firewall's rules: what servers reach, and how much of the machine one may take. Pure.

They go by the names of interfaces, so one small set of them covers all servers for ever,
whatever networks come and go: those of one kind have bridges whose names begin alike. The table
is our own: what it refuses is refused, whatever other tables of the machine's allow, Docker's
included.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from tmpnb.errors import ConfigError
from tmpnb.spawners.egress import connections as firewall_bounds
from tmpnb.system.net.networks import Address, Network

# How bridges begin: of networks that lead to the internet alone, of single servers, of those closed
# to the outside, and of those that lead everywhere.
OUT, OWN, CLOSED, OPEN = BRIDGES = "tmpnb-", "tmpno-", "tmpnc-", "tmpna-"
LONGEST = 15  # characters of an interface's name
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
METADATA = IPv4Address("169.254.169.254")  # of most clouds
SIGNS = (METADATA, IPv4Address("192.0.2.254"))  # refused in any case: so the rules are seen
CLOSED4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carriers'
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, with the metadata services of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocols'
            "192.0.2.0/24",  # documents'
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # tests'
            "198.51.100.0/24",  # documents'
            "203.0.113.0/24",  # documents'
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
CLOSED6 = tuple(
    map(
        IPv6Network,
        (
            "::/3",  # loopback, mapped and translated IPv4, and what is reserved
            "2001::/23",  # protocols', tunnels to IPv4 among them
            "2001:db8::/32",  # documents'
            "2002::/16",  # tunnels to IPv4
            "3fff::/20",  # documents'
            "4000::/2",  # reserved
            "8000::/1",  # private, link-local, multicast, and what is reserved
        ),
    )
)

_UNTRIED = ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4")  # no packet to them gets that far
TRIED = tuple(n for n in CLOSED4 if str(n) not in _UNTRIED)


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What is different on one machine."""

    also: tuple[Network, ...] = ()  # refused as well
    allowed: tuple[Network, ...] = ()  # not refused, though it is closed or `also`
    resolvers: tuple[Network, ...] = ()  # single addresses whose port 53 is not refused
    connections: int = firewall_bounds.DEFAULT  # that one server may have at a time
    bridges: tuple[str, ...] = ()  # of other networks that servers are on
    proxies: tuple[Network, ...] = ()  # on these, who ask servers for all visitors

    def __post_init__(self) -> None:
        """Refuse what would undo the rules.

        Raises:
            ConfigError: Names the flag and what to do.
        """
        firewall_bounds.checked(self.connections)
        for name in self.bridges:
            if not _INTERFACE.fullmatch(name):
                raise ConfigError(f"--bridges={name}: no name of an interface; see ip link")
        for network in self.allowed:
            if any(sign in network for sign in SIGNS):
                raise ConfigError(
                    f"--allow={network}: it holds {METADATA} or 192.0.2.254, by which it is seen"
                    " that the rules are in force; name smaller networks"
                )
        for network in self.resolvers:
            if network.num_addresses != 1:
                raise ConfigError(f"--dns={network}: write the one address of a name server")


def is_closed(address: Address) -> bool:
    """Return whether the rules refuse an address, unless it is an exception."""
    closed: tuple[Network, ...] = (*CLOSED4, *CLOSED6)
    return any(address in network for network in closed)


def example(closed: IPv4Network, near: Iterable[Network]) -> IPv4Address | None:
    """Return an address of a closed range that the machine is asked to pass packets on to. Pure.

    Args:
        closed: The range.
        near: The sender's own networks, in which it finds its way without the machine.

    Returns:
        None if the whole range is near.
    """
    own = [n for n in near if isinstance(n, IPv4Network) and n.overlaps(closed)]
    wanted = METADATA if METADATA in closed else closed[-2]
    before = (int(n.network_address) - 1 for n in own)
    after = (int(n.broadcast_address) + 1 for n in own)
    ends = range(int(closed.network_address) + 1, int(closed.broadcast_address))
    for number in (int(wanted), *before, *after):
        address = IPv4Address(number % 2**32)
        if number in ends and not any(address in network for network in own):
            return address
    return None


def bridge(prefix: str, name: str) -> str:
    """Return the name of the interface for the Docker network `name`."""
    return prefix + hashlib.sha256(name.encode()).hexdigest()[: LONGEST - len(prefix)]


def table(exceptions: Exceptions) -> str:
    """Return the rules as a script of `nft`, which puts them in place of older ones at once."""
    closed = (*CLOSED4, *CLOSED6, *exceptions.also)
    shared = (f"{prefix}*" for prefix in BRIDGES if prefix != OWN)
    bridges = (*shared, *exceptions.bridges)
    return f"""table inet tmpnb
delete table inet tmpnb
table inet tmpnb {{
{_sets("closed", closed)}
{_sets("allowed", exceptions.allowed)}
{_sets("resolver", exceptions.resolvers)}
\tset asked4 {{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }}
\tset asked6 {{ type ipv6_addr; size 65535; flags dynamic,timeout; timeout 1m; }}
{_sets("proxies", exceptions.proxies)}
{firewall_bounds.sets()}

{firewall_bounds.chains(exceptions.connections, bridges, f"{OWN}*")}
\t# Said to each server ten times a second at most, so that none can silence it for others.
\tchain refuse {{
\t\tupdate @asked4 {{ ip saddr limit rate 10/second burst 20 packets }} \\
\t\t\treject with icmpx type admin-prohibited
\t\tupdate @asked6 {{ ip6 saddr limit rate 10/second burst 20 packets }} \\
\t\t\treject with icmpx type admin-prohibited
\t\tdrop
\t}}

\tchain outward {{
\t\toifname "{OUT}*" goto refuse
\t\toifname "{OWN}*" goto refuse
\t\tip daddr @resolver4 meta l4proto {{ tcp, udp }} th dport 53 accept
\t\tip6 daddr @resolver6 meta l4proto {{ tcp, udp }} th dport 53 accept
\t\tip daddr @allowed4 accept
\t\tip6 daddr @allowed6 accept
\t\tip daddr @closed4 goto refuse
\t\tip6 daddr @closed6 goto refuse
\t}}

\tchain forward {{
\t\ttype filter hook forward priority -10; policy accept;
\t\tiifname "{OUT}*" goto outward
\t\tiifname "{OWN}*" oifname != "{OWN}*" goto refuse
\t\tiifname "{CLOSED}*" goto refuse
\t}}

\t# This machine itself: answers to its own connections, and what IPv6 needs to find it.
\tchain inward {{
\t\tct direction reply ct state established,related accept
\t\ticmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit }} accept
\t\tgoto refuse
\t}}

\tchain input {{
\t\ttype filter hook input priority -10; policy accept;
\t\tiifname "{OUT}*" goto inward
\t\tiifname "{OWN}*" goto inward
\t\tiifname "{CLOSED}*" goto inward
\t}}
}}
"""


REMOVED = "table inet tmpnb\ndelete table inet tmpnb\n"  # as a script of `nft`


def _sets(name: str, networks: Iterable[Network]) -> str:
    listed = tuple(networks)
    return "\n".join(
        (
            _set(f"{name}4", "ipv4_addr", [n for n in listed if n.version == 4]),
            _set(f"{name}6", "ipv6_addr", [n for n in listed if n.version == 6]),
        )
    )


def _set(name: str, kind: str, networks: Iterable[Network]) -> str:
    listed = ", ".join(map(str, networks))
    elements = f" elements = {{ {listed} }}" if listed else ""
    return f"\tset {name} {{ type {kind}; flags interval; auto-merge;{elements} }}"
