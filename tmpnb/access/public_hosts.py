"""Under which names the public port gives out notebooks. Pure.

A page whose name is made to lead here (DNS rebinding) is of this very site to a browser: it may
send what our own pages send, and read the answer. Over plain http nothing but the name tells it
apart.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from tmpnb.access import own_hosts


@dataclass(frozen=True, slots=True)
class PublicHosts:
    """The names of a service, beside those that nobody can register.

    Attributes:
        names: In lower case.
        domain: All names below it are the service's too; empty: there is none.
        any_name: Whether every name will do, as long as nobody has said which are the service's.
    """

    names: frozenset[str] = frozenset()
    domain: str = ""
    any_name: bool = True

    def have(self, host: str) -> bool:
        """Whether a request's `Host` names this service."""
        if self.any_name or own_hosts.is_own(host, self.names):
            return True
        return bool(self.domain) and own_hosts.name_in(host).endswith(f".{self.domain}")

    def and_names(self, more: Collection[str]) -> PublicHosts:
        """Return the same with more names, as the machine's own, in lower case."""
        return replace(self, names=self.names | frozenset(more))


def public_hosts(main: str, further: str, *, domain: str = "", walls: bool) -> PublicHosts:
    """Return the names of a service.

    Args:
        main: The host where visitors find it; empty: nobody has said.
        further: Other names of it, a list with commas.
        domain: Below which servers have names of their own; empty: there is none.
        walls: Whether a server is kept from the machine it is on. A page that takes one where there
            are none has the machine, so that only own names will do.

    Raises:
        ConfigError: One of the further names is none; in one line.
    """
    named = own_hosts.names(further, "--public-hosts")
    return PublicHosts(
        named | frozenset({own_hosts.name_in(main)} - {""}),
        domain=domain,
        any_name=walls and not (main or domain or further.strip()),
    )
