"""Ask a notebook server when somebody last used it.

Facts of jupyter_server: `api/status` carries `last_activity` (API calls and kernel
messages) and does not itself count as activity. A kernel that computes silently
sends no messages, so a server that looks idle is asked for busy kernels as well.
"""

from __future__ import annotations

import json
from typing import Any

from tmpnb.errors import UnreachableError
from tmpnb.http import Client
from tmpnb.timestamps import unix_time

TIMEOUT = 5.0  # seconds for one question


async def last_activity(
    client: Client, url: str, token: str, *, now: float, max_idle: float
) -> float | None:
    """Return the last sign of life, Unix time in seconds; None if it cannot tell.

    Args:
        client: Who asks.
        url: The server's own address with its base URL.
        token: The server's secret.
        now: Unix time in seconds; the answer while a kernel is busy.
        max_idle: Seconds after which a silent server is asked about its kernels.
    """
    status = await _get(client, f"{url}api/status", token)
    seen = unix_time(status.get("last_activity")) if isinstance(status, dict) else None
    if seen is None:
        return None
    if now - seen > max_idle and await _is_busy(client, url, token):
        return now
    return seen


async def _is_busy(client: Client, url: str, token: str) -> bool:
    kernels = await _get(client, f"{url}api/kernels?no_track_activity=1", token)
    if not isinstance(kernels, list):
        return False
    return any(isinstance(k, dict) and k.get("execution_state") == "busy" for k in kernels)


async def _get(client: Client, url: str, token: str) -> Any:
    """Return the JSON behind `url`, or None."""
    headers = {"Authorization": f"token {token}"}
    try:
        answer = await client.fetch(url, timeout=TIMEOUT, headers=headers)
        return json.loads(answer.body) if answer.code == 200 else None
    except (UnreachableError, ValueError):
        return None
