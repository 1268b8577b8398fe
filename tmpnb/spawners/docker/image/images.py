"""The part of the Docker spawner that has images at hand before servers of them are started.

They are pulled, seen not to run as root, and copied from.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from tmpnb.spawners.docker_api import connection
from tmpnb.spawners.docker_api.threads import Job, Lane

if TYPE_CHECKING:
    import docker

    from tmpnb.spawners.docker.containers import Containers
    from tmpnb.spawners.docker.image.ahead import Ahead
    from tmpnb.spawners.docker.image.look import People

log = logging.getLogger(__name__)

PULL_DEADLINE = 3600.0  # seconds

T = TypeVar("T")


class Driver(Protocol):
    """What is needed of the spawner."""

    image: str
    _slow: Lane
    _client: docker.APIClient | None
    _people: People | None
    _ahead: Ahead | None

    def _ready(self) -> Containers: ...

    async def _quickly(self, what: str, job: Job[T]) -> T: ...

    async def _ensure_image(self, client: docker.APIClient, image: str) -> None: ...

    async def _see_who(self, image: str) -> None: ...


class Images:
    """Has what servers of an image need."""

    async def prepare(self: Driver, image: str) -> None:
        """Pull `image` if the engine does not have it, and copy what its servers need of it.

        Raises:
            ConfigError: It cannot be had.
            SpawnerError: The engine refused or did not answer.
        """
        self._ready()
        assert self._client is not None and self._ahead is not None  # noqa: S101, PT018 - set together with what `_ready` returns
        await self._ensure_image(self._client, image)
        await self._see_who(image)
        await self._ahead.made(image, again=True)

    def unready(self: Driver, image: str) -> str:
        """See `Spawner`; begins to copy what is missing."""
        return self._ahead.unready(image or self.image) if self._ahead else ""

    async def _ensure_image(self: Driver, client: docker.APIClient, image: str) -> None:
        what = f"looking for the image {image}"
        if not await self._quickly(what, lambda _: connection.has_image(client, image)):
            log.info("image pull name=%s (this may take minutes)", image)
            pull = partial(connection.pull, client, image)
            await self._slow.run(f"pulling the image {image}", pull, seconds=PULL_DEADLINE)

    async def _see_who(self: Driver, image: str) -> None:
        """Refuse an image that runs as root."""
        assert self._people is not None  # noqa: S101 - set together with what `_ready` returns
        look = partial(self._people.of, image)
        await self._quickly(f"looking into the image {image}", lambda _: look())
