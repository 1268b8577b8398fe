"""The command: recognise the service, let the visitors come, show and write what they met."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tmpnb.commands.load import notebook, options
from tmpnb.commands.load.options import Options
from tmpnb.commands.load.recognition import recognised
from tmpnb.commands.load.screen import Screen
from tmpnb.commands.load.tally import Tally
from tmpnb.commands.load.visit import Plan, visit
from tmpnb.errors import ConfigError
from tmpnb.system import open_files

FILES_EACH = 4  # open at once for one visitor: a websocket, a request, and some room
SPARE_FILES = 64
Say = Callable[[str], None]


async def load(words: Sequence[str], say: Say) -> bool:
    """Do what the words after `load` ask for; return whether every visitor was served.

    Raises:
        ConfigError: It cannot be done; in one line.
        asyncio.CancelledError: It was interrupted; the visitors have left by then.
    """
    chosen = options.parse(words)
    content = notebook.read(chosen.notebook)
    check_files(chosen.visitors, open_files.raise_limit(), say)
    if chosen.json is not None:
        _write(chosen, {})  # rather an error now than after the run
    door = await recognised(chosen.target)
    say(f"{door.system} at {chosen.target.url}")
    say(f"visitors: {chosen.visitors}, {chosen.arrivals}; cells: {len(content.code)} each")
    plan = Plan(door, content, chosen.idle, chosen.patience)
    tally, loop, screen = Tally(chosen.visitors), asyncio.get_running_loop(), Screen(sys.stdout)
    begun = loop.time()
    showing = asyncio.create_task(_show(screen, tally, begun))
    try:
        await arrive(plan, tally, chosen.every)
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        screen.end(tally, loop.time() - begun)
        if chosen.json is not None:
            _write(chosen, result(chosen, door.system, tally, loop.time() - begun))
    return tally.served == tally.visitors


async def arrive(plan: Plan, tally: Tally, every: float) -> None:
    """Let all visitors come, and return when all are gone.

    Args:
        plan: What each does.
        tally: Keeps how it goes; it knows how many come.
        every: Seconds from one arrival to the next.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(tally.visitors):
            late = begun + number * every - loop.time()
            if late > 0:
                await asyncio.sleep(late)
            group.create_task(visit(plan, tally))


def check_files(visitors: int, limit: int, say: Say) -> None:
    """Warn if so many visitors at once need more open files than there may be."""
    needed = visitors * FILES_EACH + SPARE_FILES
    if limit < needed:
        say(f"warning: with all visitors here at once it takes {needed} open files, and the limit")
        say(f"is {limit}; more with: ulimit -n {needed}")


def result(chosen: Options, system: str, tally: Tally, seconds: float) -> dict[str, Any]:
    """Return what is written as JSON; times in seconds. The token is not in it."""
    return {
        "url": chosen.target.url,
        "system": system,
        "seconds_between_arrivals": chosen.every,
        "idle": chosen.idle,
        "seconds": round(seconds, 3),
    } | tally.as_json()


async def _show(screen: Screen, tally: Tally, begun: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(screen.pause)
        screen.show(tally, loop.time() - begun)


def _write(chosen: Options, found: dict[str, Any]) -> None:
    assert chosen.json is not None  # noqa: S101 - asked by the callers
    try:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json={chosen.json}: {error.strerror}") from error
