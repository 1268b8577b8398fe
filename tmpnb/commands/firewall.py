"""`tmpnb firewall`: print, set or remove the rules that wall servers in and bound them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_network
from typing import NoReturn

from tmpnb.errors import ConfigError
from tmpnb.spawners.egress import connections
from tmpnb.spawners.egress import name_servers as resolvers
from tmpnb.spawners.egress.rules import CLOSED4, REMOVED, Exceptions, table
from tmpnb.system.net import networks

NFT = "nft"
DEADLINE = 30.0  # seconds for nft
Say = Callable[[str], None]
LONGEST = 300  # characters of what nft complained of
HELP = """Rules for the firewall of the engine's machine. With --egress=internet notebooks reach
the internet, and by these rules nothing nearer: no private, carrier's, link-local, multicast or
reserved address, so no metadata service of a cloud either, no port of the machine, and not each
other. With --egress=none they do not reach the machine. With any egress each has at most so many
connections, so that none fills the machine's table of them. They go by the names of the bridges
that servers are on, so they are set once, and touch nothing else. Without --apply and --remove
they are printed, for nft."""
EPILOG = """Setting them needs root on the engine's machine, and nft there (Debian: apt-get
install nftables). Set them again after each boot, as docs/operations.md says; tmpnb starts no
server with --egress=internet until it has seen them in force."""
KEEP = """# What tmpnb needs of the firewall. Set it:    nft -f THIS-FILE
# Keep it over a reboot with a unit of systemd, /etc/systemd/system/tmpnb-firewall.service:
#   [Unit]
#   Before=docker.service
#   After=nftables.service
#   [Service]
#   Type=oneshot
#   ExecStart=/usr/sbin/nft -f THIS-FILE
#   [Install]
#   WantedBy=multi-user.target
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"firewall: {message}; see tmpnb firewall --help")


async def firewall(words: Sequence[str], say: Say) -> bool:
    """Do what the words after `firewall` ask for; return whether it is done.

    Raises:
        ConfigError: It cannot be done; in one line.
        SystemExit: The help was asked for and printed.
    """
    found = parser().parse_args(words)
    exceptions = Exceptions(
        also=_networks("--also", found.also),
        allowed=_networks("--allow", found.allow),
        resolvers=_networks("--dns", found.dns),
        connections=found.connections,
        proxies=_networks("--proxies", found.proxies),
        bridges=tuple(name.strip() for value in found.bridges for name in value.split(",")),
    )
    if found.remove:
        await _set(REMOVED)
        say("the rules are removed; servers with --egress=internet are not started any more")
        return True
    asked = resolvers.found()
    hints = [*advice(asked.asked, exceptions), *past_the_rules(asked)]
    if not found.apply:
        say(KEEP + "".join(f"# {hint}\n" for hint in hints) + table(exceptions))
        return True
    await _set(table(exceptions))
    say("the rules are in force, until this machine is booted anew: see tmpnb firewall --help")
    for hint in hints:
        say(hint)
    return True


def advice(resolvers: Iterable[str], exceptions: Exceptions) -> list[str]:
    """Say which name servers of a machine its servers could not ask. Pure."""
    asked = [networks.address(text) for text in resolvers]
    return [
        f"The name server {one} is refused too: add --dns={one} if servers are to ask it."
        for one in asked
        if one is not None
        and not one.is_loopback  # which servers do not ask themselves
        and any(one in closed for closed in (*CLOSED4, *exceptions.also))
        and not any(one in allowed for allowed in (*exceptions.allowed, *exceptions.resolvers))
    ]


def past_the_rules(asked: resolvers.Resolvers) -> list[str]:
    """Say which name servers of a machine the engine asks in the servers' place. Pure."""
    return [
        f"The name server {one} is this machine's own: the engine asks it for servers, as the"
        f" machine and past these rules. Give it another: {resolvers.MEND}."
        for one in asked.by_engine
    ]


def parser() -> argparse.ArgumentParser:
    """Return what knows the words of the command line."""
    made = _Parser(
        prog="tmpnb firewall",
        usage="tmpnb firewall [--apply | --remove] [flags]",
        description=HELP,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    what = made.add_mutually_exclusive_group()
    what.add_argument("--apply", action="store_true", help="set them, in place of older ones")
    what.add_argument("--remove", action="store_true", help="remove them")
    for flag, help_ in {
        "--also": "refuse these networks too: 198.51.100.0/24,2001:db8::/32",
        "--allow": "do not refuse these, though they are private: 10.1.2.3,10.9.0.0/16",
        "--dns": "name servers that may be asked, on port 53 alone, though they are private",
        "--bridges": "bound servers on these interfaces too, which tmpnb did not name: br-0a1b2c",
        "--proxies": "addresses of the proxy and tmpnb on these, to which no bound applies",
    }.items():
        made.add_argument(flag, metavar="LIST", action="append", default=[], help=help_)
    made.add_argument(
        "--connections",
        metavar="N",
        type=int,
        default=connections.DEFAULT,
        help="connections that one server may have at a time (%(default)s)",
    )
    return made


def _networks(flag: str, values: Iterable[str]) -> tuple[networks.Network, ...]:
    words = [word.strip() for value in values for word in value.split(",")]
    try:
        return tuple(ip_network(word) for word in words)
    except ValueError as error:
        raise ConfigError(f"{flag}: {error}; write 10.1.2.3 or 10.9.0.0/16") from error


async def _set(script: str) -> None:
    """Let nft run a script: all of it, or nothing.

    Raises:
        ConfigError: There is no nft, or it refused.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            NFT,
            "-f",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise ConfigError(
            f"firewall: nft cannot be run ({error.strerror}); install it (Debian: apt-get install"
            " nftables), or print the rules here and let nft -f set them on the engine's machine"
        ) from error
    try:
        async with asyncio.timeout(DEADLINE):
            printed, _ = await process.communicate(script.encode())
    except TimeoutError as error:
        raise ConfigError(f"firewall: nft did not end within {DEADLINE:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = " ".join(printed.decode(errors="replace").split())[:LONGEST]
        raise ConfigError(f"firewall: nft refused the rules; is this root? It said: {said}")
