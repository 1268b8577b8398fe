"""Ask a notebook server when somebody last used it.

Facts of jupyter_server, JupyterLab and Notebook 7: `api/status` carries the
`last_activity` of API calls and kernel messages. An open page asks the API again and
again by itself, so this clock never stops while there is one; a kernel that computes
silently sends no messages, so it may stand still. Therefore kernels, terminals and
saved files are asked as well. None of these questions counts as activity.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import quote

from tmpnb import foreign_json
from tmpnb.errors import UnreachableError
from tmpnb.http import Client
from tmpnb.timestamps import unix_time

TIMEOUT = 5.0  # seconds for one question
MOST_FOLDERS = 40  # looked at for saved files, breadth first

Ask = Callable[[str], Awaitable[Any]]  # path below the base URL -> its JSON, or None


async def last_activity(
    client: Client, url: str, token: str, *, now: float, max_idle: float
) -> float | None:
    """Return the last sign of life, Unix time in seconds; None if it cannot tell.

    Args:
        client: Who asks.
        url: The server's own address with its base URL.
        token: The server's secret.
        now: Unix time in seconds; the answer while a kernel is busy.
        max_idle: Seconds after which a silent server counts as idle.
    """

    async def ask(path: str) -> Any:
        return await _get(client, url + path, token)

    status = await ask("api/status")
    seen = unix_time(status.get("last_activity")) if isinstance(status, dict) else None
    if seen is None:
        return None
    kernels = await ask("api/kernels?no_track_activity=1")
    if any(kernel.get("execution_state") == "busy" for kernel in _objects(kernels)):
        return now
    if now - seen > max_idle:
        return seen  # not even a page asks it for anything
    used = await _last_use(ask, status, kernels)
    return seen if used is None else min(seen, used)


async def _last_use(ask: Ask, status: dict[str, Any], kernels: object) -> float | None:
    """Return when a kernel, a terminal or a file last changed; None if that is not known."""
    terminals = await ask("api/terminals?no_track_activity=1")
    started, saved = unix_time(status.get("started")), await _last_save(ask)
    if started is None or saved is None or not isinstance(kernels, list):
        return None
    return max(
        started, saved, *_times(kernels, "last_activity"), *_times(terminals, "last_activity")
    )


async def _last_save(ask: Ask) -> float | None:
    """Return the latest change of a file or folder, 0 without any; None if unreadable."""
    latest, folders, looks = 0.0, deque([""]), 0
    while folders and looks < MOST_FOLDERS:
        looks += 1
        folder = quote(folders.popleft())
        listing = await ask(f"api/contents/{folder}?type=directory&no_track_activity=1")
        if not isinstance(listing, dict) or not isinstance(listing.get("content"), list):
            return None
        latest = max(latest, *_times(listing["content"], "last_modified"), 0.0)
        for entry in _objects(listing["content"]):
            if entry.get("type") == "directory" and isinstance(entry.get("path"), str):
                folders.append(entry["path"])
    return latest


def _times(entries: object, key: str) -> list[float]:
    found = (unix_time(entry.get(key)) for entry in _objects(entries))
    return [time for time in found if time is not None]


def _objects(entries: object) -> Iterator[dict[str, Any]]:
    """Return the JSON objects in a JSON array; none in anything else."""
    if isinstance(entries, list):
        yield from (entry for entry in entries if isinstance(entry, dict))


async def _get(client: Client, url: str, token: str) -> Any:
    """Return the JSON behind `url`, or None."""
    headers = {"Authorization": f"token {token}"}
    try:
        answer = await client.fetch(url, timeout=TIMEOUT, headers=headers)
        return foreign_json.loads(answer.body) if answer.code == 200 else None
    except (UnreachableError, ValueError):
        return None
