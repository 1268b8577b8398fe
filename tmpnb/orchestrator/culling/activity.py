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
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPResponse

from tmpnb.errors import AnswerTooLargeError, UnreachableError
from tmpnb.system import untrusted_json
from tmpnb.system.http.bounded_answers import Allowance
from tmpnb.system.http.client import LISTING, SMALL, Client
from tmpnb.system.units import unix_time

TIMEOUT = 5.0  # seconds for one question
LOOK_TIMEOUT = 10.0  # seconds for all questions together
LOOK_SIZE = 4 * LISTING  # bytes of all answers together
MOST_FOLDERS = 200  # looked at for saved files, breadth first
LONGEST_PATH = 4096  # characters; Linux has no longer ones
FAR = 1e11  # Unix time in seconds that no clock shows
UNTRACKED = "no_track_activity=1"
KIT = f"tmpnb/use?{UNTRACKED}"  # see the part `use` of the kit
NOT_THERE = frozenset([HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND])
NOT_ASKED_FOR = NOT_THERE | {HTTPStatus.BAD_REQUEST}  # a name that is no UTF-8
NOT_NOW = frozenset(
    [HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS]
)

Ask = Callable[[str, int], Awaitable[Any]]  # path below the base URL, bytes -> its JSON


class NotToldError(Exception):
    """A question got no answer that means anything.

    Attributes:
        status: The answer's HTTP status; None if there was none.
    """

    def __init__(self, status: int | None = None) -> None:
        super().__init__()
        self.status = status


@dataclass(frozen=True, slots=True)
class Word:
    """What a server said when it was asked.

    Attributes:
        last_use: The last sign of life, Unix time in seconds; None if it cannot tell.
        answered: Whether it answered at all.
    """

    last_use: float | None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class _Times:
    """The times in a list of what a server has, or in several.

    Attributes:
        latest: The last of them, Unix time in seconds; 0 without any.
        are_all: Whether each entry had one.
    """

    latest: float = 0.0
    are_all: bool = True

    def __or__(self, other: _Times) -> _Times:
        return _Times(max(self.latest, other.latest), self.are_all and other.are_all)


async def ask_for_use(client: Client, url: str, token: str, *, now: float, max_idle: float) -> Word:
    """Return what a server says of its use, within `LOOK_TIMEOUT` seconds, whatever it does.

    Args:
        client: Who asks.
        url: The server's own address with its base URL.
        token: The server's secret.
        now: Unix time in seconds; the last use while a kernel is busy.
        max_idle: Seconds after which a silent server counts as idle.
    """
    word, together = Word(None, answered=False), Allowance(LOOK_SIZE)

    async def ask(path: str, most: int) -> Any:
        return _understood(await _get(client, url + path, token, most=most, within=together))

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
        await _get(client, f"{url}api/status", token, head_only=True)
    except NotToldError as error:
        return error.status is not None
    return True


def _unless_known(seen: float, now: float, max_idle: float) -> float:
    """Return the last use of a server that tells no more than its status."""
    return seen if now - seen <= max_idle else now


async def _last_use(ask: Ask, seen: float, now: float, max_idle: float) -> float:
    """Return when a server was used last, which says of itself that it was at `seen`.

    What it lists is reduced to times at once: many servers are asked at the same time.

    Raises:
        NotToldError: It does not tell enough.
    """
    messages = _of_idle_kernels(await ask(f"api/kernels?{UNTRACKED}", SMALL))
    if messages is None:
        return now
    elsewhere = min(await _use_elsewhere(ask), now)
    if now - seen > max_idle:
        return max(seen, elsewhere)  # not even a page asks it for anything
    found = messages | await _of_terminals(ask) | await _of_files(ask)
    used = max(elsewhere, found.latest)
    if not found.are_all and now - used > max_idle:
        raise NotToldError(HTTPStatus.OK)
    return min(seen, used)


def _of_idle_kernels(kernels: object) -> _Times | None:
    """Return when kernels were heard of last; None if one may be computing.

    Raises:
        NotToldError: These are no kernels.
    """
    if not isinstance(kernels, list) or not all(isinstance(one, dict) for one in kernels):
        raise NotToldError(HTTPStatus.OK)
    states = [one.get("execution_state") for one in kernels]
    if any(state == "busy" or not isinstance(state, str) for state in states):
        return None
    return _times(kernels, "last_activity")


async def _of_terminals(ask: Ask) -> _Times:
    """Return when terminals were used last; a server without them does not know the address.

    Raises:
        NotToldError: It does not say.
    """
    try:
        terminals = await ask(f"api/terminals?{UNTRACKED}", SMALL)
    except NotToldError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return _Times()
    if not isinstance(terminals, list):
        raise NotToldError(HTTPStatus.OK)
    return _times(terminals, "last_activity")


async def _use_elsewhere(ask: Ask) -> float:
    """Return when a person last used a page that is not Jupyter's own, as far as the kit knows.

    A server without the kit knows no such address, or has a page for people at any.

    Raises:
        NotToldError: There was no answer, or one that is neither the kit's nor of such a server.
    """
    try:
        said = await ask(KIT, SMALL)
    except NotToldError as error:
        if error.status != HTTPStatus.OK and not _is_refusal(error.status):
            raise
        return 0.0
    moment = said.get("last_use", "") if isinstance(said, dict) else ""
    if moment is None:
        return 0.0
    if not isinstance(moment, int | float) or isinstance(moment, bool) or not 0 < moment < FAR:
        raise NotToldError(HTTPStatus.OK)
    return float(moment)


def _is_refusal(status: int | None) -> bool:
    """Whether it says that there is no such thing, and will say so the next time."""
    return status is not None and 400 <= status < 500 and status not in NOT_NOW


async def _of_files(ask: Ask) -> _Times:
    """Return when files and folders were changed last.

    Raises:
        NotToldError: Some could not be looked at.
    """
    found, folders, looks = _Times(), deque([""]), 0
    while folders:
        looks += 1
        times, inner = await _of_folder(ask, folders.popleft())
        if looks + len(folders) + len(inner) > MOST_FOLDERS:
            raise NotToldError(HTTPStatus.OK)
        found |= times
        folders += inner
    return found


async def _of_folder(ask: Ask, folder: str) -> tuple[_Times, list[str]]:
    """Return the times in a folder, and the folders; nothing for one that is not there.

    Nor for one whose name nobody can ask for: no page shows what is in it.

    Raises:
        NotToldError: It could not be looked at.
    """
    if len(folder) > LONGEST_PATH:
        raise NotToldError(HTTPStatus.OK)
    path = _quoted(folder)
    if path is None:
        return _Times(), []
    try:
        listing = await ask(f"api/contents/{path}?type=directory&{UNTRACKED}", LISTING)
    except NotToldError as error:
        if folder and error.status in (NOT_THERE if _is_utf_8(folder) else NOT_ASKED_FOR):
            return _Times(), []
        raise
    content = listing.get("content") if isinstance(listing, dict) else None
    if not isinstance(content, list):
        raise NotToldError(HTTPStatus.OK)
    inner = [e.get("path") for e in content if isinstance(e, dict) and e.get("type") == "directory"]
    paths = [path for path in inner if isinstance(path, str)]
    known = _Times(are_all=len(paths) == len(inner))
    return known | _times(content, "last_modified"), paths


def _quoted(folder: str) -> str | None:
    """Return a path as it is in an address; None for what no path can be."""
    with suppress(UnicodeEncodeError):
        return quote(folder, errors="surrogateescape")
    return None


def _is_utf_8(folder: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in folder)


def _times(entries: Iterable[object], key: str) -> _Times:
    """Return the times that entries have under a key. What is no entry has none."""
    found = [unix_time(e.get(key)) if isinstance(e, dict) else None for e in entries]
    times = [time for time in found if time is not None]
    return _Times(max(times, default=0.0), len(times) == len(found))


async def _get(client: Client, url: str, token: str, **how: Any) -> HTTPResponse:
    """Return the answer at `url`, which is 200; the rest is as `Client.fetch` has it.

    Raises:
        NotToldError: There is another answer or none.
    """
    headers = {"Authorization": f"token {token}"}
    try:
        answer = await client.fetch(url, timeout=TIMEOUT, headers=headers, **how)
    except AnswerTooLargeError as error:
        raise NotToldError(HTTPStatus.OK) from error
    except UnreachableError as error:
        raise NotToldError from error
    if answer.code != HTTPStatus.OK:
        raise NotToldError(answer.code)
    return answer


def _understood(answer: HTTPResponse) -> Any:
    """Return the JSON in an answer.

    Raises:
        NotToldError: It is none.
    """
    try:
        return untrusted_json.loads(answer.body, lenient=True)
    except ValueError as error:
        raise NotToldError(answer.code) from error
