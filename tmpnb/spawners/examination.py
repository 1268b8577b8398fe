"""What an engine tells about itself and about one server: the contract's optional part."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from tmpnb.spawners.finding import Finding, skip
from tmpnb.system.net.proc_net import Listener

# With these words a server says in its own log what of the image's home it does not have.
HOME_WORDS = "what the image has in"
TOO_LARGE_WORDS = "so it begins empty"
RAISE = "raise --disk-limit, and --mem-limit with it"  # what to do about it
FIRST_LINES = 200  # of a server that has just started: more than Jupyter prints until then


def home_words(printed: Iterable[str]) -> str:
    """Return what a server says of its home, as the first it prints; "" if nothing. Pure."""
    own = (line.removeprefix("tmpnb: ") for line in printed if line.startswith("tmpnb: "))
    return next((words for words in own if HOME_WORDS in words), "")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the engine sees of a running server. None: it cannot tell."""

    port: int | None = None  # on which it should listen, in its own network
    listeners: tuple[Listener, ...] | None = None  # in its own network
    memory: int | None = None  # bytes in use
    root_allowed: bool = False  # by the operator
    routeless: str = ""  # the one network it is on, if no route leads out of it and that matters

    @property
    def at_port(self) -> tuple[Listener, ...]:
        """Who listens on the right port."""
        return tuple(one for one in self.listeners or () if one.port == self.port)


@dataclass(frozen=True, slots=True)
class ServerNetwork:
    """A network of the engine that servers are on, or will be."""

    name: str
    bridge: str  # its interface on the engine's machine
    addresses: int  # in IPv4
    in_six: bool = False  # whether it has addresses in IPv6
    is_second: bool = False  # whether servers have another card, by which no route leads out


@dataclass(frozen=True, slots=True)
class Shares:
    """What servers have of the engine's machine together."""

    kernel: bool = False  # whether they take places in its tables of terminals and the like
    open_files: int = 0  # that a process of one may have; 0: there is no bound
    processes: int = 0  # of one, threads included; 0: there is no bound
    name_server: bool = False  # whether the engine asks, for them, those of the machine


class Examination:
    """Asks an engine for `tmpnb doctor` and `tmpnb check-image`. This one knows nothing."""

    has_images = False  # whether servers are made from images, which can be checked
    closed = False  # whether servers shall reach nothing outside
    filtered = False  # whether servers shall reach the internet and nothing nearer
    seccomp = ""  # the profile of system calls that was asked for; "": there is no such choice
    is_here = False  # whether the engine shares this machine's network; known after `findings`
    shares = Shares()  # known after `findings`
    engine_at = ""  # host:port or unix:/path where the engine itself answers, if it does

    async def findings(self, capacity: int) -> AsyncGenerator[Finding, None]:
        """Yield what is found out without a server, as soon as each is known.

        It changes nothing in the engine and fetches nothing. Each question has its
        own deadline; a failure is a finding, and what depends on it is skipped.

        Args:
            capacity: Servers that there may be in all.
        """
        del capacity
        yield skip("engine", "it tells nothing of itself")

    async def server(self, server_id: str) -> ServerFacts:
        """Return what is known of a running server of the spawner's pool. Never raises."""
        del server_id
        return ServerFacts()

    async def server_networks(self) -> list[ServerNetwork]:
        """Return the networks that each server is on; none that is not known. Never raises."""
        return []

    async def place_of(self, server_id: str) -> str | None:
        """Return where a server listens in its own network, host:port. Never raises."""
        del server_id
        return None

    async def reached(self, server_id: str, places: Sequence[str]) -> list[bool] | None:
        """Return for each place whether a running server can connect to it. Never raises.

        Args:
            server_id: Of a running server of the spawner's pool.
            places: host:port, or unix:/path.

        Returns:
            None if that cannot be tried.
        """
        del server_id, places
        return None

    async def opened(self, server_id: str) -> dict[str, bool] | None:
        """Return which ways past a container's walls a running server can open. Never raises.

        Returns:
            Whether it can, by the name of the way, which is opened and used for nothing. None
            if that cannot be tried.
        """
        del server_id
        return None

    async def refused(
        self, server_id: str, ranges: Sequence[IPv4Network]
    ) -> list[bool | None] | None:
        """Return for each range whether the firewall refuses it, and says so. Never raises.

        None, for a range or for all, if that cannot be tried.
        """
        del server_id, ranges
        return None
