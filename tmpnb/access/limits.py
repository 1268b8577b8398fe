"""What one client may take: so many servers at a time, and so many a minute. Synchronous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tmpnb.access.client_address import Client
from tmpnb.access.holdings import Holdings
from tmpnb.access.rate_window import Windows
from tmpnb.core.server import NotebookServer
from tmpnb.errors import ClientLimitError, PoolEmptyError

MINUTE = 60.0  # seconds
LEAST_AT_ONCE = 64  # requests that a client may have under way, however few servers
TIMES_SERVERS = 4  # as many for each server that a client may have: pages, and those in line
RETRY_WHEN_ASKING = 5  # seconds
RETRY_WHEN_HOLDING = 60  # seconds
SHARED = "If a class or a company shares the address, those who run this service can raise"


class Ticket(Protocol):
    """A place in line, as far as it is counted here."""

    @property
    def id(self) -> str:
        """What it is known by, unlike all others."""
        ...


_Ticket = TypeVar("_Ticket", bound=Ticket)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What each client may take; 0 means no limit."""

    servers: int = 0  # at a time, places in line included
    a_minute: int = 0

    @property
    def requests(self) -> int:
        """How many may be under way at once, all that wait for a server included; 0: no limit."""
        return max(LEAST_AT_ONCE, TIMES_SERVERS * self.servers) if self.servers else 0


class ClientLimits:
    """Knows what each client has and takes, and refuses what is too much.

    Checks and counts in one step of memory without a wait. A claim under way counts, and
    so does a place in line. Servers of before a restart are nobody's until their visitor
    comes back.
    """

    def __init__(
        self,
        allowance: Allowance,
        clock: Callable[[], float],
        *,
        claimed: Callable[[Collection[str]], Collection[str]],
        waiting: Callable[[Collection[str]], Collection[str]],
    ) -> None:
        """Begin with nobody.

        Args:
            allowance: What each may take.
            clock: Time in seconds.
            claimed: Returns those of some servers that a visitor has now.
            waiting: Returns those of some tickets that stand for a place in line.
        """
        self.refused = 0  # times a client was refused, since the start
        self._allowance = allowance
        self._servers, self._places = Holdings(claimed), Holdings(waiting)
        self._taken = Windows(clock, MINUTE, allowance.a_minute)
        self._under_way: Counter[str] = Counter()
        self._asking: Counter[str] = Counter()

    def asks(self, client: Client) -> None:
        """Note a request whose answer begins, and may take its time.

        Raises:
            ClientLimitError: They have as many under way as one may; it is not noted.
        """
        if self._allowance.requests and self._asking[client.key] >= self._allowance.requests:
            raise self._refusal(
                f"Your address has the {self._allowance.requests} requests under way that one "
                f"address may have at a time. Close other pages of this service. {SHARED} "
                "--client-servers.",
                RETRY_WHEN_ASKING,
            )
        self._asking[client.key] += 1

    def asked(self, client: Client) -> None:
        """Note that a request of `asks` has its answer, or nobody waits for it."""
        self._asking[client.key] -= 1
        if self._asking[client.key] <= 0:
            del self._asking[client.key]

    def require(self, client: Client, *, closing: str = "") -> None:
        """Let pass who may take one more.

        Args:
            client: Who asks.
            closing: The server that ends for it; it counts only for the client who has it.

        Raises:
            ClientLimitError: They have, or took of late, as many as one may.
        """
        key, allowed = client.key, self._allowance
        coming = self._under_way[key] + self._places.count(key)
        has = self._servers.count(key) + coming - (self._servers.holder(closing) == key)
        if allowed.servers and has >= allowed.servers:
            raise self._refusal(
                f"Your address has {has} of the {allowed.servers} notebooks that one address may "
                "have or wait for at a time. Use one of them, or come back when one has ended. "
                f"{SHARED} --client-servers.",
                RETRY_WHEN_HOLDING,
            )
        if allowed.a_minute and self._taken.count(key) + coming >= allowed.a_minute:
            seconds = 1 + int(self._taken.seconds_until_fewer(key))
            raise self._refusal(
                f"Your address has taken, or tried to take, the {allowed.a_minute} notebooks that "
                f"one address may take a minute. Try again in {seconds} s. {SHARED} --client-rate.",
                seconds,
            )

    @contextmanager
    def under_way(self, client: Client) -> Iterator[None]:
        """Count one claim that has begun and is not over."""
        self._under_way[client.key] += 1
        try:
            yield
        finally:
            self._under_way[client.key] -= 1
            if not self._under_way[client.key]:
                del self._under_way[client.key]

    def took(self, client: Client, server_id: str) -> None:
        """Note that a client was given a server."""
        self._servers.add(client.key, server_id)
        if self._allowance.a_minute:
            self._taken.add(client.key)

    def tried(self, client: Client) -> None:
        """Note that a client tried in vain to take a server: an attempt counts like a success."""
        if self._allowance.a_minute:
            self._taken.add(client.key)

    def tried_not(self, client: Client) -> None:
        """Forget an attempt that became a place in line, which counts in its stead."""
        if self._allowance.a_minute:
            self._taken.take_back(client.key)

    def has(self, client: Client, server_id: str) -> None:
        """Note whose a server is that nobody was known to hold, as after a restart."""
        if server_id not in self._servers:
            self._servers.add(client.key, server_id)

    def waits(self, client: Client, ticket_id: str) -> None:
        """Note that a client was given a place in line."""
        self._places.add(client.key, ticket_id)

    def waits_no_more(self, ticket_id: str) -> None:
        """Note that a place has become a claim under way."""
        self._places.drop(ticket_id)

    def _refusal(self, message: str, seconds: int) -> ClientLimitError:
        self.refused += 1
        return ClientLimitError(message, seconds)


class Admission:
    """The leave to take one server, which every way to take one asks for."""

    def __init__(
        self,
        limits: ClientLimits,
        client: Client,
        *,
        exempt: bool = False,
        by_passphrase: bool = False,
    ) -> None:
        """Keep for whom it is.

        Args:
            limits: Of each client.
            client: Who has it.
            exempt: They are neither counted nor refused.
            by_passphrase: They have just said it, and need not again for a while.
        """
        self.by_passphrase = by_passphrase
        self._limits, self._client, self._exempt = limits, client, exempt
        self._found_none = False  # the attempt was counted, and may become a place in line

    def require(self, *, closing: str = "") -> None:
        """Let pass who may take one more, once the server `closing` has ended.

        Raises:
            ClientLimitError: They may not.
        """
        if not self._exempt:
            self._limits.require(self._client, closing=closing)

    async def take(
        self, claim: Callable[[], Awaitable[NotebookServer]], *, closing: str = ""
    ) -> NotebookServer:
        """Return what `claim` returns, counted from now on; an attempt that fails counts too.

        The server `closing` ends for it.

        Raises:
            ClientLimitError: They may not take one more; `claim` is not called.
        """
        self.require(closing=closing)
        try:
            return await self._counted(claim)
        except BaseException as error:
            if not self._exempt:
                self._limits.tried(self._client)
                self._found_none = isinstance(error, PoolEmptyError)
            raise

    def queue(self, join: Callable[[], _Ticket], *, closing: str = "") -> _Ticket:
        """Return the place in line that `join` returns, counted from now on.

        It counts instead of the attempt that found no server ready.

        Raises:
            ClientLimitError: They may not take one more; `join` is not called.
        """
        if self._found_none:
            self._limits.tried_not(self._client)
            self._found_none = False
        self.require(closing=closing)
        ticket = join()
        if not self._exempt:
            self._limits.waits(self._client, ticket.id)
        return ticket

    async def redeem(
        self, ticket: _Ticket, claim: Callable[[_Ticket], Awaitable[NotebookServer]]
    ) -> NotebookServer:
        """Return what `claim` returns for a place that is counted already; never refused.

        What fails otherwise than for want of a server counts as an attempt.
        """
        self._limits.waits_no_more(ticket.id)
        try:
            return await self._counted(lambda: claim(ticket))
        except BaseException as error:
            self.waits_again(ticket)  # the place is kept, or lost by itself
            if not self._exempt and not isinstance(error, PoolEmptyError):
                self._limits.tried(self._client)
            raise

    def waits_again(self, ticket: Ticket) -> None:
        """Count a place that was redeemed in vain."""
        if not self._exempt:
            self._limits.waits(self._client, ticket.id)

    def recognise(self, server: NotebookServer) -> None:
        """Note that the client came back to a server of theirs."""
        server.client = self._client.address
        if not self._exempt:
            self._limits.has(self._client, server.id)

    async def _counted(self, claim: Callable[[], Awaitable[NotebookServer]]) -> NotebookServer:
        if self._exempt:
            server = await claim()
        else:
            with self._limits.under_way(self._client):
                server = await claim()
                self._limits.took(self._client, server.id)
        server.client = self._client.address
        return server
