"""Work in the background fails alone, and leaves nothing behind when it never begins."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator

import pytest

from tests.support.world import World
from tmpnb.core.health import Health
from tmpnb.orchestrator.watch import watch
from tmpnb.system.tasks import Tasks, supervised

pytestmark = pytest.mark.gen_test(timeout=20)


@pytest.fixture
def warned() -> Iterator[Callable[[], list[str]]]:
    """Return what was thrown away without ever being begun, as Python warns of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        def said() -> list[str]:
            gc.collect()
            return [str(one.message) for one in caught if "never awaited" in str(one.message)]

        yield said


async def work() -> None:
    """Do what is never begun here."""
    await asyncio.Event().wait()


async def test_work_that_is_cancelled_before_its_first_step_is_closed(
    warned: Callable[[], list[str]],
) -> None:
    async with Tasks() as group:
        task = group.spawn(work(), "work")
        group.cancel_all()
    assert task.cancelled()
    alone = supervised(work(), "work")
    alone.cancel()
    await asyncio.wait({alone})
    del task, alone
    assert warned() == []


async def test_a_pass_that_is_cancelled_before_its_first_step_is_closed(
    warned: Callable[[], list[str]],
) -> None:
    async with World(0).running() as world:
        health = Health(world.clock)
        async with Tasks() as group:
            group.spawn(watch(health, work, "pass"), "pass")
            group.cancel_all()
        spawn = world.orchestrator._tasks.spawn
        begun = asyncio.Event()

        def cancelled_at_once(given: object, what: str) -> asyncio.Task[None]:
            task = spawn(given, what)  # type: ignore[arg-type]  # as it was given
            task.cancel()
            begun.set()
            return task

        world.orchestrator._tasks.spawn = cancelled_at_once  # type: ignore[method-assign]
        world.orchestrator.wake()
        await begun.wait()
    assert warned() == []


async def test_what_comes_when_the_group_has_ended_is_refused_and_closed(
    warned: Callable[[], list[str]],
) -> None:
    async with Tasks() as group:
        pass
    with pytest.raises(RuntimeError):
        group.spawn(work(), "work")
    assert warned() == []
