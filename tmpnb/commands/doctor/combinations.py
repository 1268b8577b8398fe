"""Whether settings conflict although each is allowed."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from tmpnb.settings.service import Service
from tmpnb.spawners.finding import Finding, ok, warn

TOPIC = "settings"


async def findings(service: Service) -> AsyncGenerator[Finding, None]:
    """Yield a finding for each conflict, or that there is none."""
    found = [warn(TOPIC, words, mend) for words, mend in service.cautions()]
    for finding in found or [
        ok(TOPIC, "times, limits, trusted and banned networks are consistent")
    ]:
        yield finding
