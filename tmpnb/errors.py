"""Every error tmpnb raises on purpose.

* TmpnbError
  + ConfigError           the operator asked for something impossible (exit 1, one line)
  + PoolEmptyError        no ready server                             (HTTP 503/429)
    - LineFullError       and too many wait for one already           (HTTP 503/429)
    - TicketError         and the place in the line is lost           (HTTP 503/429)
  + BannedError           whose network gets nothing                  (HTTP 403)
  + PassphraseError       who has not said the passphrase             (HTTP 403)
  + ClientLimitError      who has taken as many as one client may     (HTTP 429)
    - TooManyTriesError   who has tried too many passphrases          (HTTP 429)
  + ServerExistsError     the asked-for id is in use                  (HTTP 409)
  + ServerStartsError     it cannot be stopped before it is up        (HTTP 409)
  + BansFullError         as many networks are banned as may be       (HTTP 409)
  + TooManyDownloadsError archives of a server are under way          (HTTP 429)
  + DownloadBrokenError   a server was gone before its files were out (HTTP 503)
  + RolloutRefusedError   the image cannot be changed right now       (HTTP 409)
  + ImageFailedError      a new image did not prove itself            (HTTP 409)
  + VisitorLeftError      who asks has hung up: nothing is taken      (HTTP 503)
  + SpawnerError          the engine refused or did not answer        (HTTP 503)
    - StartTimeoutError   started, but never answered HTTP
    - NoInstanceError     the engine answered: it has no such server
    - NoPlaceError        another server was to make room, and could not be removed
  + ProxyError            the proxy's API refused or did not answer   (HTTP 503)
    - ProxyAuthError      the proxy's API refused our token
  + UnreachableError      an address gave no HTTP answer; always translated by the caller
  + AdminPortError        the service that runs cannot be spoken to   (exit 1, one line)
    - NobodyThereError    nothing answers there
  + VisitError            a visitor of `tmpnb load` met a fault, which is counted
* IllegalMoveError        a bug: a lifecycle move that is not in the table
"""

from __future__ import annotations


class TmpnbError(Exception):
    """Something expected went wrong; the caller may retry or report it."""


class ConfigError(TmpnbError):
    """A setting is wrong. The message names it and says what to do."""


class PoolEmptyError(TmpnbError):
    """No server is ready to be claimed."""


class LineFullError(PoolEmptyError):
    """No server is ready, and no place in the line is left either."""


class TicketError(PoolEmptyError):
    """A ticket stands for no place in the line: its holder was away for too long."""


class VisitorLeftError(TmpnbError):
    """The requester has hung up and would never see what is taken for them."""


class BannedError(TmpnbError):
    """The requester's network is banned."""


class PassphraseError(TmpnbError):
    """The passphrase is missing or wrong."""

    def __init__(self, message: str, *, was_wrong: bool = False) -> None:
        super().__init__(message)
        self.was_wrong = was_wrong


class ClientLimitError(TmpnbError):
    """A client exceeds its limit."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds


class TooManyTriesError(ClientLimitError):
    """A client has tried too many wrong passphrases."""


class ServerExistsError(TmpnbError):
    """A server with this id is running, or its path is in use."""


class ServerStartsError(TmpnbError):
    """A server that is still starting cannot be stopped."""


class BansFullError(TmpnbError):
    """The limit of networks banned through the admin port is reached."""


class TooManyDownloadsError(TmpnbError):
    """A server has reached its limit of concurrent downloads."""


class DownloadBrokenError(TmpnbError):
    """A server ended or stopped responding before its files were sent."""


class RolloutRefusedError(TmpnbError):
    """The pool's image cannot be changed at the moment."""


class ImageFailedError(TmpnbError):
    """An image is unavailable, or its first server did not become ready."""


class SpawnerError(TmpnbError):
    """The engine refused a request or did not respond."""


class StartTimeoutError(SpawnerError):
    """A server was started but did not respond over HTTP before its deadline."""


class NoInstanceError(SpawnerError):
    """The engine responded, but has no server with this id."""


class NoPlaceError(SpawnerError):
    """The server that was to make room for another could not be removed in time."""


class ProxyError(TmpnbError):
    """The proxy's API refused a request or did not respond."""


class ProxyAuthError(ProxyError):
    """The proxy's API rejected our token."""


class UnreachableError(TmpnbError):
    """No HTTP response: refused, reset, timed out, or not HTTP."""


class AdminPortError(TmpnbError):
    """The running service did not do what an operator's command requested. In one line."""


class NobodyThereError(AdminPortError):
    """Nothing responds where the admin port should be."""


class AnswerTooLargeError(UnreachableError):
    """An HTTP response was larger than the limit."""


class VisitError(TmpnbError):
    """A visitor of `tmpnb load` hit an error. The message is the same for all who hit it."""


class IllegalMoveError(RuntimeError):
    """A server was moved between phases that the lifecycle does not connect."""

    def __init__(self, server_id: str, old: str, new: str) -> None:
        super().__init__(f"server {server_id}: no move {old} -> {new}")
