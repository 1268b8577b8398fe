"""What the admin port needs besides the service itself: bans, settings, how clients are shown."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tmpnb.bans import Bans
from tmpnb.gate import MOST_TRIES, TRIES_SPAN
from tmpnb.windows import Windows


@dataclass(frozen=True, slots=True)
class Operating:
    """What operators see and change.

    Attributes:
        bans: The networks that get nothing.
        anonymize: Whether clients are shown by their networks alone.
        tries: Wrong tokens at the operator's page, by client.
        settings: Those in force, by section and name, without secrets.
    """

    bans: Bans = field(default_factory=Bans)
    anonymize: bool = False
    tries: Windows = field(
        default_factory=lambda: Windows(time.monotonic, TRIES_SPAN, MOST_TRIES), repr=False
    )
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
