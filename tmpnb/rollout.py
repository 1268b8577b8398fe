"""Change the image of a pool while it serves: one server tries it, then the rest follow."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tmpnb.errors import (
    ConfigError,
    ImageFailedError,
    NoPlaceError,
    RolloutRefusedError,
    SpawnerError,
)
from tmpnb.fleet import Fleet
from tmpnb.pool import Pool
from tmpnb.server import NotebookServer, Phase, StopReason
from tmpnb.spawners.base import Spawner

log = logging.getLogger(__name__)


class Rollout:
    """Knows the image that new servers are started from, and changes it only to one that works.

    Attributes:
        image: It; empty where engines have no images.
    """

    def __init__(
        self, *, spawner: Spawner, pool: Pool, fleet: Fleet, new_id: Callable[[], str]
    ) -> None:
        self.image = spawner.image
        self._spawner, self._pool, self._fleet = spawner, pool, fleet
        self._new_id = new_id
        self._trying = ""

    async def to(self, image: str) -> None:
        """Start new servers from `image` from now on, if the first of them becomes ready.

        Nothing changes for the pool if it does not. The image of the command line counts
        again after a restart.

        Raises:
            RolloutRefusedError: Another image is being tried, or there is no room to try one.
            ImageFailedError: It cannot be had, or its server did not become ready.
        """
        if self._trying:
            raise RolloutRefusedError(f"the image {self._trying} is being tried; wait for that")
        self._trying = image
        try:
            await self._try(image)
        except NoPlaceError as error:
            log.warning("rollout refused image=%s: %s", image, error)
            raise RolloutRefusedError(f"there is no room to try an image: {error}") from error
        except (ConfigError, SpawnerError) as error:
            log.warning("rollout refused image=%s: %s", image, error)
            stays = f"; the pool stays on {self.image}" if self.image else ""
            raise ImageFailedError(f"{error}{stays}") from error
        finally:
            self._trying = ""
        log.info("rollout from=%s to=%s", self.image, image)
        self.image = image

    def drain(self, keep: str | None = None) -> int:
        """Mark the unclaimed servers as to be replaced, a few at a time; return how many.

        Args:
            keep: Servers of this image are left out.
        """
        unclaimed = [s for s in self._pool.servers.values() if _is_unclaimed(s)]
        marked = [s for s in unclaimed if s.image != keep or keep is None]
        for server in marked:
            server.drained = True
        return len(marked)

    async def _try(self, image: str) -> None:
        await self._spawner.prepare(image)
        leaving = None
        if not self._pool.has_room():
            given_up = self._pool.oldest_ready()
            if given_up is None:
                raise RolloutRefusedError(
                    "every place is taken by a visitor, so there is no room to try an image; "
                    "try again later, or raise --pool-size"
                )
            leaving = self._fleet.stop(given_up, StopReason.SURPLUS)
        await self._fleet.launch_on_trial(self._new_id(), image, leaving)


def _is_unclaimed(server: NotebookServer) -> bool:
    return server.phase in (Phase.STARTING, Phase.READY)
