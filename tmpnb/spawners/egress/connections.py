"""The firewall's rules that bound what one server takes of the table of connections. Pure.

The kernel counts what is open, and leaves out what is closed and stays in the table for up to two
minutes more. So what is new is bounded as well: half of the bound may be open, a quarter begin at
once, and another quarter in each two minutes. Together that is never more than the bound.
"""

from __future__ import annotations

from collections.abc import Sequence

from tmpnb.errors import ConfigError

DEFAULT = 4096  # connections of one server
FEWEST, MOST = 1024, 1_000_000  # with fewer, the sentry could not ask often enough
LASTS = 120  # seconds that a closed connection stays in the table, at most
OF_A_SUBNET, OF_THE_SERVER = 15, 14  # of 16 addresses the server's own one is the last for use
SERVERS = 65535  # of which is kept how many they have; one more gets none


def checked(connections: int) -> int:
    """Return the bound.

    Raises:
        ConfigError: It makes no sense; in one line.
    """
    if not FEWEST <= connections <= MOST:
        raise ConfigError(
            f"--connections={connections}: write a number from {FEWEST} to {MOST}, as {DEFAULT}"
        )
    return connections


def sets() -> str:
    """Return where it is kept what each server has: by its address, and by its card in IPv6.

    There a program may choose among many addresses.
    """
    kinds = (("4", "ipv4_addr"), ("6", "ether_addr"))
    return "\n".join(
        f"\tset open{n} {{ type {kind}; size {SERVERS}; flags dynamic; }}\n"
        f"\tset begun{n} {{ type {kind}; size {SERVERS}; flags dynamic,timeout;"
        f" timeout {LASTS}s; }}"
        for n, kind in kinds
    )


def chains(connections: int, bridges: Sequence[str], own: str) -> str:
    """Return the chains.

    Who is in a full set is counted on, and who is not gets no connection. None can fill one with
    addresses that are not its own.

    Args:
        connections: Entries of the table that one server may have.
        bridges: How the names of the servers' bridges begin, or whole names.
        own: How those begin that one server has for itself, with the proxy and nobody else. What
            the proxy sends there is no server's.
    """
    open_, quarter = connections // 2, connections // 4
    rate = f"limit rate {max(1, quarter * 60 // LASTS)}/minute burst {quarter} packets"
    bounded = "\n".join(f'\t\tiifname "{bridge}" ct state new jump bound' for bridge in bridges)
    server = f"ip saddr & 0.0.0.{OF_A_SUBNET} == 0.0.0.{OF_THE_SERVER}"
    return f"""\t# At most {connections} connections of one server, those just closed included.
\tchain bound {{
\t\tip saddr @proxies4 return
\t\tip6 saddr @proxies6 return
\t\tfib saddr . iif oif missing drop
\t\tmeta nfproto ipv4 goto bound4
\t\tgoto bound6
\t}}

\tchain bound4 {{
\t\tupdate @begun4 {{ ip saddr {rate} }} goto open4
\t\tdrop
\t}}

\tchain bound6 {{
\t\tupdate @begun6 {{ ether saddr {rate} }} goto open6
\t\tdrop
\t}}

\tchain open4 {{
\t\tadd @open4 {{ ip saddr ct count {open_} }} return
\t\tdrop
\t}}

\tchain open6 {{
\t\tadd @open6 {{ ether saddr ct count {open_} }} return
\t\tdrop
\t}}

\tchain prerouting {{
\t\ttype filter hook prerouting priority -150; policy accept;
{bounded}
\t\tiifname "{own}" {server} ct state new jump bound4
\t}}
"""
