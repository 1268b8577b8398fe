"""Wait until a server that was just started responds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tmpnb.errors import SpawnerError, StartTimeoutError, UnreachableError
from tmpnb.http import Client

FIRST_PAUSE = 0.05  # seconds
LONGEST_PAUSE = 0.5  # seconds
PROBE_TIMEOUT = 5.0  # seconds for one question


async def wait_until_ready(
    client: Client, url: str, deadline: float, *, has_exited: Callable[[], bool] = lambda: False
) -> None:
    """Return once GET `url` returns 200; a redirect or an error page does not count.

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
            raise SpawnerError("it exited before it responded")
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
    raise StartTimeoutError(f"did not respond in time; last response: {last}")
