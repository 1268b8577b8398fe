"""Ask a notebook server when somebody last used it.

Facts of jupyter_server, JupyterLab and Notebook 7: `api/status` carries the
`last_activity` of API calls and kernel messages. An open page asks the API again and
again by itself, so this clock never stops while there is one; a kernel that computes
silently sends no messages, so it may stand still. Therefore kernels, terminals and
saved files are asked as well, and the kit, which knows what a person does on pages
that are not Jupyter's own. None of these questions counts as activity.

Who runs the server may have it answer anything. What is not known counts as used: it
ends nobody, and `--cull-max` needs nobody's word.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from tmpnb import foreign_json
from tmpnb.errors import UnreachableError
from tmpnb.http import LISTING, SMALL, Client
from tmpnb.timestamps import unix_time

TIMEOUT = 5.0  # seconds for one question
LOOK_TIMEOUT = 10.0  # seconds for all questions together
MOST_FOLDERS = 200  # looked at for saved files, breadth first
FAR = 1e11  # Unix time in seconds that no clock shows
UNTRACKED = "no_track_activity=1"
KIT = f"tmpnb/use?{UNTRACKED}"  # see the part `use` of the kit

Ask = Callable[..., Awaitable[Any]]  # path below the base URL -> its JSON, or None for a 404


class NotToldError(Exception):
    """A question got no answer that means anything.

    Attributes:
        status: The answer's HTTP status; None if there was none.
    """

    def __init__(self, status: int | None = None) -> None:
        super().__init__()
        self.status = status

    @property
    def is_refusal(self) -> bool:
        """Whether the server says that this cannot be asked."""
        return self.status is not None and 400 <= self.status < 500


@dataclass(frozen=True, slots=True)
class Word:
    """What a server said when it was asked.

    Attributes:
        last_use: The last sign of life, Unix time in seconds; None if it cannot tell.
        answered: Whether it answered at all.
    """

    last_use: float | None
    answered: bool = True


async def ask_for_use(client: Client, url: str, token: str, *, now: float, max_idle: float) -> Word:
    """Return what a server says of its use, within `LOOK_TIMEOUT` seconds, whatever it does.

    Args:
        client: Who asks.
        url: The server's own address with its base URL.
        token: The server's secret.
        now: Unix time in seconds; the last use while a kernel is busy.
        max_idle: Seconds after which a silent server counts as idle.
    """
    word = Word(None, answered=False)

    async def ask(path: str, most: int = LISTING) -> Any:
        return await _get(client, url + path, token, most)

    try:
        async with asyncio.timeout(LOOK_TIMEOUT):
            status = await ask("api/status", SMALL)
            seen = unix_time(status.get("last_activity")) if isinstance(status, dict) else None
            word = Word(None if seen is None else _unless_known(seen, now, max_idle))
            if seen is not None:
                word = Word(await _last_use(ask, seen, now, max_idle))
    except NotToldError as error:
        return Word(word.last_use, word.answered or error.status is not None)
    except TimeoutError:
        pass
    return word


async def ask_whether_it_lives(client: Client, url: str, token: str) -> bool:
    """Return whether a server answers anything; the arguments are those of `ask_for_use`."""
    try:
        await _get(client, f"{url}api/status", token, SMALL)
    except NotToldError as error:
        return error.status is not None
    return True


def _unless_known(seen: float, now: float, max_idle: float) -> float:
    """Return the last use of a server that tells no more than its status."""
    return seen if now - seen <= max_idle else now


async def _last_use(ask: Ask, seen: float, now: float, max_idle: float) -> float:
    """Return when a server was used last, which says of itself that it was at `seen`.

    Raises:
        NotToldError: It does not tell enough.
    """
    kernels = await _list(ask, "api/kernels")
    if any(kernel.get("execution_state") == "busy" for kernel in _objects(kernels)):
        return now
    elsewhere = min(await _use_elsewhere(ask), now)
    if now - seen > max_idle:
        return max(seen, elsewhere)  # not even a page asks it for anything
    terminals = await _list(ask, "api/terminals")
    times = [*_times(kernels, "last_activity"), *_times(terminals, "last_activity")]
    used = max(elsewhere, *times, await _last_save(ask), 0.0)
    return min(seen, used)


async def _list(ask: Ask, path: str) -> list[Any]:
    """Return what a server has of a kind; nothing where it knows no such kind.

    Raises:
        NotToldError: It does not say.
    """
    found = await ask(f"{path}?{UNTRACKED}")
    if not isinstance(found, list | None):
        raise NotToldError(HTTPStatus.OK)
    return found or []


async def _use_elsewhere(ask: Ask) -> float:
    """Return when a person last used a page that is not Jupyter's own, as far as the kit knows.

    Raises:
        NotToldError: There was no answer; a server without the kit answers something else.
    """
    try:
        said = await ask(KIT, SMALL)
    except NotToldError as error:
        if error.status is None:
            raise
        return 0.0
    moment = said.get("last_use") if isinstance(said, dict) else None
    return float(moment) if isinstance(moment, int | float) and 0 < moment < FAR else 0.0


async def _last_save(ask: Ask) -> float:
    """Return the latest change of a file or folder, 0 without any.

    Raises:
        NotToldError: Some could not be looked at.
    """
    latest, folders, looks = 0.0, deque([""]), 0
    while folders:
        if looks == MOST_FOLDERS:
            raise NotToldError(HTTPStatus.OK)
        looks += 1
        content = await _content(ask, folders.popleft())
        latest = max(latest, *_times(content, "last_modified"), 0.0)
        for entry in content:
            if entry.get("type") == "directory" and isinstance(entry.get("path"), str):
                folders.append(entry["path"])
    return latest


async def _content(ask: Ask, folder: str) -> list[dict[str, Any]]:
    """Return what is in a folder; nothing for one that is gone, or whose name nobody can ask for.

    Raises:
        NotToldError: It could not be looked at.
    """
    try:
        path = quote(folder, errors="surrogateescape")
    except UnicodeEncodeError:
        return []
    try:
        listing = await ask(f"api/contents/{path}?type=directory&{UNTRACKED}")
    except NotToldError as error:
        if folder and error.is_refusal:
            return []
        raise
    if listing is None and folder:
        return []
    if not isinstance(listing, dict) or not isinstance(listing.get("content"), list):
        raise NotToldError(HTTPStatus.OK)
    return list(_objects(listing["content"]))


def _times(entries: object, key: str) -> list[float]:
    found = (unix_time(entry.get(key)) for entry in _objects(entries))
    return [time for time in found if time is not None]


def _objects(entries: object) -> Iterator[dict[str, Any]]:
    """Return the JSON objects in a JSON array; none in anything else."""
    if isinstance(entries, list):
        yield from (entry for entry in entries if isinstance(entry, dict))


async def _get(client: Client, url: str, token: str, most: int) -> Any:
    """Return the JSON behind `url`; None where there is nothing.

    Raises:
        NotToldError: There is no answer, or one that is no JSON.
    """
    headers = {"Authorization": f"token {token}"}
    try:
        answer = await client.fetch(url, timeout=TIMEOUT, headers=headers, most=most)
    except UnreachableError as error:
        raise NotToldError from error
    if answer.code == HTTPStatus.NOT_FOUND:
        return None
    if answer.code != HTTPStatus.OK:
        raise NotToldError(answer.code)
    try:
        return foreign_json.loads(answer.body, lenient=True)
    except ValueError as error:
        raise NotToldError(answer.code) from error
