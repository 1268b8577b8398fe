"""What the admin port needs besides the service itself: bans, settings, how clients are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tmpnb.access.bans import Bans
from tmpnb.access.wrong_tokens import WrongTokens
from tmpnb.web.admin.sessions import EndedSessions


@dataclass(frozen=True, slots=True)
class Operating:
    """What operators see and change.

    Attributes:
        bans: The networks that get nothing.
        anonymize: Whether clients are shown by their networks alone.
        wrong: Wrong tokens at the admin port.
        ended: Sessions at the operator's page that were ended by hand.
        settings: Those in force, by section and name, without secrets.
    """

    bans: Bans = field(default_factory=Bans)
    anonymize: bool = False
    wrong: WrongTokens = field(default_factory=WrongTokens, repr=False)
    ended: EndedSessions = field(default_factory=EndedSessions, repr=False)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
