"""What bounds every container of a benchmark, whoever makes it: what tmpnb's own get by default."""

from __future__ import annotations

from typing import Any

from tmpnb.spawners.docker.hardening import limits as hardening
from tmpnb.spawners.docker.image.user import NOBODY


def bounds() -> dict[str, Any]:
    """Return keywords of docker-py's `create_host_config`, without the memory."""
    return hardening.settings(hardening.Limits(), NOBODY)
