"""Why a visitor is refused a server, in the words of the API where it has one. Pure."""

from __future__ import annotations

import enum


class Refusal(enum.StrEnum):
    """Why a request for a server was refused. A label of metrics."""

    POOL_EMPTY = "pool_empty"  # none is ready, or others wait for those that are
    NOT_SERVING = "not_serving"  # just started, about to end, or servers may not be given out
    ENGINE = "engine_unavailable"
    PROXY = "proxy_unavailable"
    LINE_FULL = "line_full"
    CLIENT_LIMIT = "client_limit"
    BANNED = "banned"
    PASSPHRASE = "passphrase_needed"  # noqa: S105 - none was sent, and this is none
    WRONG_PASSPHRASE = "wrong_passphrase"  # noqa: S105 - a word for one, and no secret
    TRIES = "too_many_tries"


# Those that `/stats` has as claims_refused_total: there was no server to be given.
NO_SERVER = frozenset({Refusal.POOL_EMPTY, Refusal.NOT_SERVING, Refusal.ENGINE})
