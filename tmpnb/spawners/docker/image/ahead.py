"""Copy what servers need of an image before the first of them is started, and again if it is gone.

A copy may take minutes, and a start has one. So copies have a thread and a deadline of their own,
one at a time; meanwhile no server of that image is started, and everything else goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from tmpnb.errors import SpawnerError, TmpnbError
from tmpnb.spawners.docker.image.copies import Copies, needed
from tmpnb.spawners.docker.image.look import People
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.docker_api.threads import Lane

log = logging.getLogger(__name__)

DEADLINE = 3600.0  # seconds for all copies of an image, the wait for those of another included
FIRST_PAUSE = 5.0  # seconds until the first new try after a failure; doubled by each that follows
LONGEST_PAUSE = 60.0  # seconds; longer after tries that cost the engine more than a moment
SHARE = 0.1  # of the time, at most, that tries which fail take
SLOW = 5.0  # seconds; what takes longer is worth a line in the log
COPYING = "what servers need of the image {image} is being copied; they start when it is there"
FAILED = "{reason}; servers of that image start when it is there, which is tried again"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How the latest try for an image ended."""

    reason: str = ""  # why its servers cannot start
    failures: int = 0  # in a row, those of homes included, without which servers start
    again: float = 0.0  # when to try again, if it failed


class Ahead:
    """The copies of one pool, by image. Used on the loop; what blocks is done elsewhere."""

    def __init__(
        self,
        copies: Copies,
        people: People,
        options: Options,
        news: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing copied.

        Args:
            copies: Does it.
            people: Who servers run as, which says what is their home.
            options: What decides which places are copied.
            news: Called when servers of an image can start that could not.
            now: A clock, in seconds.
        """
        self._copies, self._people, self._options = copies, people, options
        self._news, self._now = news, now
        limits = options.limits
        self._may_copy = bool(limits.disk or limits.read_only) and not options.kind.podman
        self._lane = Lane("docker-copies", 1)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._outcomes: dict[str, _Outcome] = {}

    def unready(self, image: str) -> str:
        """Return why no server of an image can be started now, and see to it; "" if one can."""
        known = self._outcomes.get(image)
        if known is None or (self._is_due(known) if known.failures else self._copies.due):
            self._begin(image)
        if not self._may_copy:
            return ""
        return COPYING.format(image=image) if known is None else known.reason

    async def made(self, image: str, *, again: bool = False) -> None:
        """Return when servers of an image can be started.

        Args:
            image: It.
            again: See to it anew, whatever is known: something was not there, or somebody asks.

        Raises:
            SpawnerError: What they need could not be copied.
        """
        if not self._may_copy:
            return
        known = self._outcomes.get(image)
        if again and known is not None and not known.reason:
            known = self._outcomes.pop(image, None)  # so that no other is started meanwhile
        if again or known is None or self._is_due(known):
            await asyncio.shield(self._begin(image))
        known = self._outcomes.get(image)
        if known is not None and known.reason:
            raise SpawnerError(known.reason)

    def close(self) -> None:
        """Copy no more; what the engine copies at the moment is left for the next run to remove."""
        self._lane.close()
        for task in self._tasks.values():
            task.cancel()

    def _is_due(self, known: _Outcome) -> bool:
        return known.failures > 0 and self._now() >= known.again

    def _begin(self, image: str) -> asyncio.Task[None]:
        task = self._tasks.get(image)
        if task is None:
            task = self._tasks[image] = asyncio.create_task(self._copy_and_tell(image))
        return task

    async def _copy_and_tell(self, image: str) -> None:
        """Copy; who is told of the end can have it tried again at once."""
        before = self._outcomes.get(image)
        try:
            await self._copy(image, before)
        finally:
            self._tasks.pop(image, None)
        if before is None or before.reason != self._outcomes[image].reason:
            self._news()

    async def _copy(self, image: str, before: _Outcome | None) -> None:
        """Have all that servers of an image need, or know why not; never raises."""
        begun = self._now()
        what = f"copying what servers need of the image {image}"
        try:
            reason, lacks = await self._lane.run(
                what, lambda _: self._blocking(image), seconds=DEADLINE
            )
        except TmpnbError as error:
            reason, lacks = str(error), True
        took = self._now() - begun
        if lacks:
            failures = 1 + (before.failures if before else 0)
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 16))
            pause = max(pause, took * (1 / SHARE - 1))
            reason = FAILED.format(reason=reason) if reason else ""
            self._outcomes[image] = _Outcome(reason, failures, self._now() + pause)
        else:
            self._outcomes[image] = _Outcome()
            if took > SLOW:
                log.info("copied for servers image=%s seconds=%.0f", image, took)

    def _blocking(self, image: str) -> tuple[str, bool]:
        """Return why servers cannot start, and whether something is not copied."""
        wanted = needed(self._people.of(image), self._options)
        reason = self._copies.fill(image, wanted)
        return reason, self._copies.lacks(image, wanted)
