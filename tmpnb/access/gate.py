"""The gate that everybody passes who takes a server: bans, passphrase, limits of each client."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from tmpnb.access.client_address import Client, client_of, path_of, shown
from tmpnb.access.limits import Admission, ClientLimits
from tmpnb.access.passphrase import Passes
from tmpnb.access.rate_window import Windows
from tmpnb.access.trusted_proxies import TrustedProxies
from tmpnb.core.counts import Tally
from tmpnb.core.refusals import Refusal
from tmpnb.errors import BannedError, PassphraseError, TooManyTriesError
from tmpnb.system.net.networks import Address, Addresses, Networks

log = logging.getLogger(__name__)

MOST_TRIES = 10  # wrong passphrases of one client
TRIES_SPAN = 60.0  # seconds

IsNotebook = Callable[[Address | None], Awaitable[bool]]


async def no_notebook(address: Address | None) -> bool:
    """Return False: nobody asks from inside a notebook."""
    del address
    return False


@dataclass(frozen=True, slots=True)
class Knock:
    """What a request says about who sent it.

    Attributes:
        peer: The address it came from.
        forwarded: `X-Forwarded-For`.
        passphrase: As typed, or sent by a program; empty for none.
        held: The pass in its cookie.
        is_program: It has proved to be a program with the API's token.
        is_known: It was let in before: it comes back to its server or its place in line.
    """

    peer: str
    forwarded: str = ""
    passphrase: str = field(default="", repr=False)
    held: str = field(default="", repr=False)
    is_program: bool = False
    is_known: bool = False


class Gate:
    """Lets in who may take a server. The check and what it counts belong to one step of memory."""

    def __init__(
        self,
        *,
        limits: ClientLimits,
        passes: Passes,
        clock: Callable[[], float],
        trusted: TrustedProxies | None = None,
        banned: Addresses | None = None,
        anonymize: bool = False,
        exempt: Networks | None = None,
        is_notebook: IsNotebook = no_notebook,
    ) -> None:
        """Keep what is needed.

        Args:
            limits: Of each client.
            passes: The passphrase and what stands for it.
            clock: Time in seconds.
            trusted: Proxies; loopback alone if absent.
            banned: Who gets nothing.
            anonymize: Whether addresses are logged as networks.
            exempt: Who is not limited.
            is_notebook: Returns whether an address is a notebook server's; these take none.
        """
        self.limits, self.passes = limits, passes
        self._trusted, self._banned = (
            trusted or TrustedProxies(),
            Networks() if banned is None else banned,
        )
        self._anonymize = anonymize
        self._exempt, self._is_notebook = exempt or Networks(), is_notebook
        self._wrong = Windows(clock, TRIES_SPAN, MOST_TRIES)
        self._told: set[str] = set()
        self._refusals = Tally(Refusal)

    def refusals(self) -> Iterator[tuple[Refusal, int]]:
        """Yield why somebody was not let in, and how often since the start."""
        for why, count in self._refusals:
            yield why, count + (self.limits.refused if why is Refusal.CLIENT_LIMIT else 0)

    async def admit(self, knock: Knock) -> Admission:
        """Return the leave to take a server.

        Raises:
            BannedError: Their network gets nothing.
            PassphraseError: They have not said the passphrase, or a wrong one.
            TooManyTriesError: They have tried too many.
        """
        try:
            return await self._admit(knock)
        except (BannedError, PassphraseError, TooManyTriesError) as error:
            self._refusals.count(_why(error))
            raise

    async def _admit(self, knock: Knock) -> Admission:
        client = await self.client(knock)
        is_notebook = await self._came_by_a_notebook(knock)
        if client.address in self._banned:
            raise BannedError("Your network may not take notebooks here.")
        if is_notebook:
            raise BannedError("A notebook takes no other notebooks.")
        return Admission(
            self.limits,
            client,
            exempt=knock.is_program or client.address in self._exempt,
            by_passphrase=self._said_passphrase(client, knock),
        )

    def bounded(self, peer: str, forwarded: str) -> Client | None:
        """Return who sends a request, if bounds hold for them.

        None for those of `exempt`, and for proxies that speak for nobody. None as well as long
        as nobody knows whether the other end is a proxy, and so stands for many.
        """
        if not self._trusted.knows(peer):
            return None
        client = client_of(peer, forwarded, self._trusted)
        free = client.address in self._trusted or client.address in self._exempt
        return None if free or client.address is None else client

    def bounded_key(self, peer: str, forwarded: str) -> str | None:
        """Return what a sender counts as, as `bounded` does."""
        client = self.bounded(peer, forwarded)
        return client.key if client else None

    def seen(self, peer: str, forwarded: str) -> Client:
        """Return who sends a request, by what is known of proxies now."""
        return client_of(peer, forwarded, self._trusted)

    async def client(self, knock: Knock) -> Client:
        """Return who knocks."""
        await self._trusted.know(knock.peer)
        alone = client_of(knock.peer, "", self._trusted)
        if knock.forwarded and alone.address not in self._trusted and not self._told:
            self._told.add(knock.peer)
            log.warning(
                "X-Forwarded-For of %s is not believed, all its visitors count as one; "
                "if it is your proxy, name it in --trusted-proxies",
                shown(alone.address, anonymize=self._anonymize) or knock.peer,
            )
        return client_of(knock.peer, knock.forwarded, self._trusted)

    async def _came_by_a_notebook(self, knock: Knock) -> bool:
        """Return whether one of those it came from is none to be believed: a notebook server."""
        for address in path_of(knock.peer, knock.forwarded, self._trusted):
            if await self._is_notebook(address):
                return True
        return False

    def _said_passphrase(self, client: Client, knock: Knock) -> bool:
        """Return whether it was said now; False if it need not be."""
        if not self.passes.needed or knock.is_program or knock.is_known:
            return False
        if self.passes.seconds_left(knock.held):
            return False
        if not knock.passphrase:
            raise PassphraseError("This service asks for a passphrase.")
        if self._wrong.count(client.key) >= MOST_TRIES:
            seconds = 1 + int(self._wrong.seconds_until_fewer(client.key))
            raise TooManyTriesError(
                f"Too many wrong passphrases from your address. Try again in {seconds} s.", seconds
            )
        if not self.passes.is_right(knock.passphrase):
            self._wrong.add(client.key)
            raise PassphraseError("That is not the passphrase.", was_wrong=True)
        return True


def _why(error: BannedError | PassphraseError | TooManyTriesError) -> Refusal:
    if isinstance(error, BannedError):
        return Refusal.BANNED
    if isinstance(error, TooManyTriesError):
        return Refusal.TRIES
    return Refusal.WRONG_PASSPHRASE if error.was_wrong else Refusal.PASSPHRASE
