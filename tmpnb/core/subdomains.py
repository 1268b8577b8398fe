"""A host name for each server, so that browsers keep visitors' servers apart. Pure.

`--subdomains=notebooks.example` puts the server of id `k3v…` at `k3v….notebooks.example`.
Its path stays `/user/<id>/`, so that whatever else comes to that host comes to us.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tmpnb.errors import ConfigError

LONGEST_LABEL = 63  # characters, by the rules of the domain name system
LONGEST_NAME = 253
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[^:]:([0-9]{1,5})\Z")
_WRITE = "write the name alone, as in --subdomains=notebooks.example"


@dataclass(frozen=True, slots=True)
class Subdomains:
    """The domain of a service whose servers have names of their own below it."""

    domain: str  # our own pages are at this very name

    def host_of(self, server_id: str) -> str:
        """Return the name of a server's host; browsers write it in lower case."""
        return f"{server_id.lower()}.{self.domain}"

    def origin_of(self, server_id: str, main: str) -> str:
        """Return the origin of a server, where `main` is ours, `http://notebooks.example:8000`."""
        scheme, _, rest = main.partition("://")
        return f"{scheme}://{server_id.lower()}.{rest}"

    def all_origins(self, main: str) -> str:
        """Return the origins of all servers as a Content-Security-Policy writes them."""
        return self.origin_of("*", main)

    def main_host(self, asked: str) -> str:
        """Return the host of our own pages, at the port of the host that was asked."""
        port = _PORT.search(asked)
        return f"{self.domain}:{port.group(1)}" if port else self.domain

    @property
    def pattern(self) -> str:
        """A regular expression of the hosts below the domain, whose port is cut off."""
        return rf".+\.{re.escape(self.domain)}\.?\Z"


def is_label(server_id: str) -> bool:
    """Whether an id can be the name of a host."""
    return _LABEL.fullmatch(server_id) is not None


def subdomains(given: str) -> Subdomains | None:
    """Return the domain of `--subdomains`; None if it is empty.

    Raises:
        ConfigError: It is no domain that hosts can be named in.
    """
    if not given:
        return None
    fault = _fault(given)
    if fault:
        raise ConfigError(f"--subdomains={given}: {fault}; {_WRITE}")
    return Subdomains(given)


def check(
    chosen: Subdomains, *, public_url: str, user_length: int, trusted_sites: Iterable[str]
) -> None:
    """Check the domain against the other settings.

    Args:
        chosen: The domain.
        public_url: Where visitors find us; empty: as they say.
        user_length: Characters of a server's id.
        trusted_sites: Sources, as in a Content-Security-Policy, that may frame or ask servers.

    Raises:
        ConfigError: They do not go together; in one line.
    """
    domain = chosen.domain
    if public_url and _host_in(public_url) != domain:
        raise ConfigError(
            f"--public-url={public_url} is not at --subdomains={domain}; "
            f"write https://{domain}, or leave it out"
        )
    if user_length > LONGEST_LABEL:
        raise ConfigError(
            f"--user-length={user_length}: the name of a host has {LONGEST_LABEL} characters at "
            "most; lower it, or leave out --subdomains"
        )
    for source in trusted_sites:
        host = _host_in(source)
        below = host.endswith(f".{domain}")
        if below or (host.startswith("*.") and f"x.{domain}".endswith(host[1:])):
            raise ConfigError(
                f"{source} covers the servers of --subdomains={domain}: one visitor's could act "
                "on another's; name other sites in --embed-origins and --allow-origin"
            )


def _host_in(source: str) -> str:
    """Return the host of `https://host:port`, or of a pattern of such; empty for a bare word."""
    return re.sub(r":(\d+|\*)\Z", "", source.partition("://")[2]).lower()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:  # 127.1 and 1.2.3.4:80 are none either, but browsers take them for one
        return re.fullmatch(r"[0-9.]+(:[0-9]+)?", text) is not None
    return True


def _fault(given: str) -> str:
    """Return what is wrong with a domain; empty if nothing is."""
    faults = {
        "it has a scheme": "://" in given,
        "it has a path": "/" in given,
        "it has a star": "*" in given,
        "an IP address has no names below it": _is_address(given),
        "it has a port, which comes from each visitor's request": ":" in given,
        "it has capital letters": given != given.lower(),
        "it ends with a dot": given.endswith("."),
        "it is not a domain name": not all(map(is_label, given.split("."))),
        "it has no dot": "." not in given and given != "localhost",
        "it is too long": len(given) + 1 + LONGEST_LABEL > LONGEST_NAME,
    }
    return next((fault for fault, is_so in faults.items() if is_so), "")
