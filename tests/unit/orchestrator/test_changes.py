"""Who looks again when something changes, and who is left in peace."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.world import World
from tmpnb.orchestrator.changes import Changes

pytestmark = pytest.mark.gen_test(timeout=20)


async def test_a_change_reaches_those_in_line_and_the_loop() -> None:
    changes, heard = Changes(), list[str]()
    changes.heard_by(lambda: heard.append("line"))
    changes.tell(pass_now=False)
    assert heard == ["line"]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(changes.wait(), 0.01)
    changes.tell()
    await asyncio.wait_for(changes.wait(), 1)
    assert heard == ["line"] * 2


async def test_what_strangers_bring_about_costs_nothing_for_those_in_line() -> None:
    world, heard = World(1, interval=60), list[str]()
    world.parts.changes.heard_by(lambda: heard.append("line"))
    world.orchestrator.wake()  # as the page of a server that the proxy cannot reach does
    world.spawner.on_news()
    assert heard == []
    await asyncio.wait_for(world.parts.changes.wait(), 1)
