"""Whether settings that are allowed hurt together."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from tmpnb.settings.service import Service
from tmpnb.spawners.finding import Finding, ok, warn

TOPIC = "settings"


async def findings(service: Service) -> AsyncGenerator[Finding, None]:
    """Yield each combination that does, or that there is none."""
    found = [warn(TOPIC, words, mend) for words, mend in service.cautions()]
    for finding in found or [ok(TOPIC, "times, limits, trusted and banned networks go together")]:
        yield finding
