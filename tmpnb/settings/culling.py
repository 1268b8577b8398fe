"""The settings of when servers end, and the checks of them that need no other."""

from __future__ import annotations

import math
from typing import Any

from traitlets import Float
from traitlets.config import Configurable

from tmpnb.core.burning import SHORTEST
from tmpnb.errors import ConfigError

LONGEST = 365 * 24 * 3600.0  # seconds


class Seconds(Float[float, Any]):
    """A number of seconds; `nan` and infinity are none."""

    def validate(self, obj: Any, value: Any) -> float:
        """Return the value if it is finite and in range."""
        seconds = super().validate(obj, value)
        if not math.isfinite(seconds):
            self.error(obj, value)
        return float(seconds)


def seconds(value: float, help: str, *, least: float = 1.0) -> Any:
    """Return a setting that is a number of seconds, `least` or more; its help goes on with `help`.

    Its default is `value`.
    """
    return Seconds(value, min=least, max=LONGEST, help=f"Seconds {help}").tag(config=True)


class CullingSettings(Configurable):
    """When servers end."""

    ready_max_age = seconds(
        86400, "from its start after which an unclaimed server is replaced by a new one."
    )
    cull_period = seconds(600, "between looks for idle servers.", least=0.1)
    cull_timeout = seconds(3600, "without activity after which a claimed server is stopped.")
    cull_max = seconds(14400, "after its claim when a server is stopped, busy or not.")
    cull_burning = seconds(
        0,
        """at full speed, with no page open, after which a claimed server is stopped; 0: it may
        compute until --cull-max. At least 120.""",
        least=0.0,
    )

    def max_burning(self) -> float:
        """Return for how many seconds a server may compute at full speed with nobody there.

        Raises:
            ConfigError: An open page would not show in so short a time, or it is never reached.
        """
        limit = float(self.cull_burning)
        if not limit:
            return math.inf
        if limit < SHORTEST:
            raise ConfigError(
                f"--cull-burning={limit:g} is too short to see that nobody is there; "
                f"write {SHORTEST:g} or more, or 0 for never"
            )
        if limit > self.cull_max:
            raise ConfigError(
                f"--cull-burning={limit:g} is longer than --cull-max={self.cull_max:g}: "
                "no server would ever end by it; lower the one or raise the other"
            )
        return limit
