"""Wait until a server that was just started answers."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from tmpnb.core.server import NotebookServer
from tmpnb.errors import SpawnerError, StartTimeoutError, UnreachableError
from tmpnb.system.http.client import LISTING, Client

FIRST_PAUSE = 0.05  # seconds
LONGEST_PAUSE = 0.5  # seconds
PROBE_TIMEOUT = 5.0  # seconds for one question


async def wait_until_ready(
    client: Client, url: str, deadline: float, *, has_exited: Callable[[], bool] = lambda: False
) -> None:
    """Return once GET `url` answers 200; a redirect or an error page does not count.

    What else it answers is not read: it may be a page of any size.
    An open port proves nothing: Docker's port proxy accepts before the server listens.

    Args:
        client: Who asks.
        url: The server's own address with its base URL and `api`.
        deadline: Loop time (`asyncio` clock, seconds) when to give up.
        has_exited: Whether the server is known to run no more.

    Raises:
        SpawnerError: It exited before it answered.
        StartTimeoutError: The deadline passed; the message says what the last answer was.
    """
    loop = asyncio.get_running_loop()
    pause, last, answered = FIRST_PAUSE, "no answer", False
    while loop.time() < deadline:
        if has_exited():
            raise SpawnerError("it exited before it answered")
        remaining = deadline - loop.time()
        try:
            timeout = min(PROBE_TIMEOUT, max(remaining, 0.01))
            answer = await client.fetch(url, timeout=timeout, head_only=True)
        except UnreachableError as error:
            if not answered or remaining > PROBE_TIMEOUT:  # else the deadline cut it short
                last = str(error)
        else:
            if answer.code == 200:
                return
            last, answered = f"{url}: HTTP {answer.code}", True
        jittered = pause * random.uniform(0.7, 1.3)  # noqa: S311 - spreads load, no secret
        await asyncio.sleep(min(jittered, max(0.0, deadline - loop.time())))
        pause = min(pause * 1.5, LONGEST_PAUSE)
    raise StartTimeoutError(f"did not answer in time; last: {last}")


log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds
VIEWS = frozenset({"lab", "tree"})  # other pages may run what they show when they are asked for


def first_page(redirect_uri: str) -> str:
    """Return the path, below the base URL, of the page that can be asked for without effect.

    Args:
        redirect_uri: Where visitors land.

    Returns:
        Empty if that page may do more than show something.
    """
    path = redirect_uri.partition("?")[0].strip("/")
    return path if path.partition("/")[0] in VIEWS else ""


async def warm_up(
    client: Client, server: NotebookServer, path: str, token: str, timeout: float = TIMEOUT
) -> None:
    """Let a server make its page; whether it can is not judged here.

    The first one takes JupyterLab 15 to 28 ms of computing, each further one about 5.

    Args:
        client: Who asks.
        server: Answers already.
        path: The page, below the base URL.
        token: Opens it.
        timeout: Seconds for the answer.
    """
    url = f"{server.address}{server.base_url}{path}"
    try:
        answer = await client.fetch(
            url,
            timeout=timeout,
            headers={"Authorization": f"token {token}"},
            most=LISTING,
        )
    except UnreachableError as error:
        log.debug("server %s has made no page yet: %s", server.id, error)
    else:
        log.debug("server %s has made its page: HTTP %d", server.id, answer.code)
