"""Do work again and again that may break off for a reason nobody foresaw, and report it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tmpnb.core.health import Health
from tmpnb.errors import TmpnbError
from tmpnb.system.border import Caller


async def watch(health: Health, work: Callable[[], Awaitable[None]], topic: str) -> None:
    """Do `work`; if it dies of what nobody foresaw, that is the problem of a topic.

    Raises:
        TmpnbError: As `work` does, which has reported it.
        BaseException: What nobody foresaw, the first time, so that all of it is logged;
            or this task is to end, see `border.Caller`.
    """
    caller = Caller()
    try:
        await work()
    except TmpnbError:
        raise
    except BaseException as error:
        if caller.is_ended_by(error):
            raise
        is_known = topic in health.problems
        health.report(topic, f"it broke off, and is tried again: {error!r}")
        if not is_known:
            raise
    else:
        health.solved(topic)
