"""Who may take servers, as values that were checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from tmpnb.access.banned import Banned
from tmpnb.access.limits import Allowance
from tmpnb.system.net.networks import Networks


@dataclass(frozen=True, slots=True)
class Access:
    """What the operator says of clients. Without more, none is limited.

    Attributes:
        allowance: What each client may take.
        trusted: Proxies before ours.
        named: Those of them that the operator names by address, without the word `gateway`.
        exempt: Clients without limits.
        banned: Who gets nothing.
        anonymize: Whether addresses are shown and logged as networks alone.
    """

    allowance: Allowance = field(default_factory=Allowance)
    trusted: Networks = field(default_factory=Networks)
    named: Networks = field(default_factory=Networks)
    exempt: Networks = field(default_factory=Networks)
    banned: Banned = field(default_factory=Banned)
    anonymize: bool = False
