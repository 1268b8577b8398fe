"""Wrong tokens at the admin port: how many there may be, and who is told of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tmpnb.access.client_address import client_of, shown
from tmpnb.access.gate import MOST_TRIES, TRIES_SPAN
from tmpnb.access.rate_window import Windows
from tmpnb.errors import TooManyTriesError
from tmpnb.system.net.networks import Addresses, Networks

log = logging.getLogger(__name__)

MOST_A_SECOND = 10  # wrong tokens of all together
_ALL = "all"


class WrongTokens:
    """Counts them by who sends them. Right ones are never counted, so that they work always.

    Anybody on this machine can write what they like into `X-Forwarded-For`. So it is believed only
    of proxies that the operator has named, not of loopback as elsewhere.
    """

    def __init__(
        self,
        trusted: Addresses | None = None,
        *,
        anonymize: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with none.

        Args:
            trusted: Proxies that the operator has named; none if absent.
            anonymize: Whether addresses are logged as networks.
            clock: Time in seconds.
        """
        self._trusted, self._anonymize = trusted or Networks(), anonymize
        self._of_one = Windows(clock, TRIES_SPAN, MOST_TRIES)
        self._of_all = Windows(clock, 1.0, MOST_A_SECOND)
        self._told = Windows(clock, TRIES_SPAN, 1)

    def add(self, peer: str, forwarded: str) -> None:
        """Count one, after it was found to be wrong.

        Raises:
            TooManyTriesError: There were too many before: of this client, or of all together.
        """
        client = client_of(peer, forwarded, self._trusted)
        key = client.key
        if self._of_one.count(key) >= MOST_TRIES:
            seconds = 1 + int(self._of_one.seconds_until_fewer(key))
        elif self._of_all.count(_ALL) >= MOST_A_SECOND:
            seconds = 1
        else:
            self._of_one.add(key)
            self._of_all.add(_ALL)
            return
        if not self._told.count(_ALL):
            self._told.add(_ALL)
            who = shown(client.address, anonymize=self._anonymize) or "a socket"
            log.warning("somebody guesses the token of the admin port, the latest from %s", who)
        raise TooManyTriesError(
            f"Too many wrong tokens. Try again in {seconds} s; the right one works at once.",
            seconds,
        )
