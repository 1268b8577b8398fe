"""Change the image of a running pool: one server tests it, then the rest follow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import (
    ConfigError,
    ImageFailedError,
    NoPlaceError,
    RolloutRefusedError,
    SpawnerError,
)
from tmpnb.orchestrator.changes import Changes
from tmpnb.orchestrator.lifecycle import Lifecycle
from tmpnb.spawners.base import Spawner
from tmpnb.system.tasks import Tasks

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """The latest rollout that failed.

    Attributes:
        image: Which could not be used.
        why: In words for the operator.
    """

    image: str
    why: str


class Rollout:
    """Knows the image for new servers, and changes it only to one that works.

    Attributes:
        image: It; empty where engines have no images.
        trying: Another one while it is being tried; empty otherwise.
        failure: Of the latest rollout; None if it succeeded, or is under way.
    """

    def __init__(
        self,
        *,
        spawner: Spawner,
        pool: Pool,
        lifecycle: Lifecycle,
        tasks: Tasks,
        new_id: Callable[[], str],
        changes: Changes,
    ) -> None:
        self.image = spawner.image
        self.trying = ""
        self.failure: Failure | None = None
        self._spawner, self._pool, self._lifecycle = spawner, pool, lifecycle
        self._tasks, self._new_id, self._changes = tasks, new_id, changes

    async def to(self, image: str) -> int:
        """Replace every unclaimed server by one of another image; return how many will be.

        The image is tried first with one server. If that does not become ready, nothing
        changes. The image of the command line counts again after a restart.

        Raises:
            RolloutRefusedError: Another image is being tried, or there is no room to try one.
            ImageFailedError: It cannot be had, or its server did not become ready.
        """
        self._begin(image)
        return await self._go(image)

    def start(self, image: str) -> None:
        """Do the same in the background; `trying`, `image` and `failure` tell how it goes.

        Raises:
            RolloutRefusedError: Another image is being tried.
        """
        self._begin(image)
        self._tasks.spawn(self._in_background(image), f"rollout to {image}")

    def drain(self, keep: str | None = None) -> int:
        """Replace every unclaimed server by a new one, a few at a time; return how many.

        Args:
            keep: Servers of this image are left out.
        """
        unclaimed = [s for s in self._pool.servers.values() if _is_unclaimed(s)]
        marked = [s for s in unclaimed if s.image != keep or keep is None]
        for server in marked:
            server.drained = True
        self._changes.begin_pass()
        return len(marked)

    def _begin(self, image: str) -> None:
        if self.trying:
            raise RolloutRefusedError(
                f"the image {self.trying} is being tested; wait for that to finish"
            )
        self.trying, self.failure = image, None

    async def _go(self, image: str) -> int:
        try:
            await self._prove(image)
        except (RolloutRefusedError, ImageFailedError) as error:
            log.warning("rollout refused image=%s: %s", image, error)
            self.failure = Failure(image, str(error))
            raise
        finally:
            self.trying = ""
        log.info("rollout from=%s to=%s", self.image, image)
        self.image = image
        return self.drain(keep=image)

    async def _in_background(self, image: str) -> None:
        await self._go(image)

    async def _prove(self, image: str) -> None:
        try:
            await self._try(image)
        except NoPlaceError as error:
            raise RolloutRefusedError(f"there is no room to test an image: {error}") from error
        except (ConfigError, SpawnerError) as error:
            stays = f"; the pool keeps {self.image}" if self.image else ""
            raise ImageFailedError(f"{error}{stays}") from error

    async def _try(self, image: str) -> None:
        await self._spawner.prepare(image)
        leaving = None
        if not self._pool.has_room():
            given_up = self._pool.oldest_ready()
            if given_up is None:
                raise RolloutRefusedError(self._why_no_room())
            leaving = self._lifecycle.stop(given_up, StopReason.SURPLUS)
        await self._lifecycle.launch_on_trial(self._new_id(), image, leaving)

    def _why_no_room(self) -> str:
        if all(s.phase is Phase.CLAIMED for s in self._pool.servers.values()):
            return (
                "every place is taken by a visitor, so there is no room to test an "
                "image; try again later, or raise --pool-size"
            )
        return "no ready server can make room to test an image; try again in a minute"


def _is_unclaimed(server: NotebookServer) -> bool:
    return server.phase in (Phase.STARTING, Phase.READY)
