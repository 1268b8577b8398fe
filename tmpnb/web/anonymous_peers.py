"""Keep Tornado's own log lines from naming the other end of a connection, with --anonymize."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tornado.log import gen_log

from tmpnb.access.client_address import shown
from tmpnb.system.net import networks


@contextmanager
def anonymous_peers(*, anonymize: bool) -> Iterator[None]:
    """Have requests that Tornado cannot read logged with the network that sent them alone.

    Args:
        anonymize: Whether; else nothing changes.
    """
    if not anonymize:
        yield
        return
    gen_log.addFilter(_without_address)
    try:
        yield
    finally:
        gen_log.removeFilter(_without_address)


def _without_address(record: logging.LogRecord) -> bool:
    """Put networks in place of the connections that a line names; let it pass."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_anonymous, record.args))
    return True


def _anonymous(value: object) -> object:
    peer = getattr(value, "remote_ip", None)
    if not isinstance(peer, str):
        return value
    return shown(networks.address(peer), anonymize=True) or "somebody"
