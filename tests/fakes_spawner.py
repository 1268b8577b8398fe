"""Pretend spawners with one fault each."""

from __future__ import annotations

import asyncio
import enum

from tmpnb.errors import SpawnerError
from tmpnb.observation import Instance
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.fake import FakeSpawner

NOBODY = "http://127.0.0.1:1"  # nothing listens there


class SlowToStart(FakeSpawner):
    """A start takes until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.begun = 0

    async def start(self, spec: ServerSpec) -> str:
        self.begun += 1
        await self.go.wait()
        return await super().start(spec)


class Stage(enum.Enum):
    """Where a start fails."""

    REFUSED = "nothing was made"
    LEFT_BEHIND = "the server was made, then the engine failed"
    SILENT = "the server was made and never answers"


class FailsToStart(FakeSpawner):
    """The next `failures` starts fail at `stage`."""

    def __init__(self, stage: Stage, failures: int = 1_000_000) -> None:
        super().__init__()
        self.stage = stage
        self.failures = failures

    async def start(self, spec: ServerSpec) -> str:
        if self.failures <= 0:
            return await super().start(spec)
        self.failures -= 1
        if self.stage is Stage.REFUSED:
            raise SpawnerError("the engine refused, as it was told")
        await super().start(spec)
        if self.stage is Stage.SILENT:
            return NOBODY
        raise SpawnerError("the engine failed half-way, as it was told")


class FailsToList(FakeSpawner):
    """Cannot be read while `broken`."""

    broken = True

    async def list(self) -> list[Instance]:
        if self.broken:
            raise SpawnerError("the engine cannot be read, as it was told")
        return await super().list()


class FailsToMark(FakeSpawner):
    """The next `failures` claims are not written."""

    def __init__(self, failures: int = 1_000_000) -> None:
        super().__init__()
        self.failures = failures

    async def mark_claimed(self, server_id: str, claimed_at: float) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise SpawnerError("the claim is not written, as it was told")
        await super().mark_claimed(server_id, claimed_at)


class FailsToStop(FakeSpawner):
    """The next `failures` stops remove nothing."""

    def __init__(self, failures: int = 1_000_000) -> None:
        super().__init__()
        self.failures = failures
        self.tried: list[str] = []

    async def stop(self, server_id: str) -> None:
        self.tried.append(server_id)
        if self.failures > 0:
            self.failures -= 1
            raise SpawnerError("nothing is removed, as it was told")
        await super().stop(server_id)


class Mortal(FakeSpawner):
    """Its servers end when told to, as a container does that crashes or is killed."""

    def crash(self, server_id: str, last_words: str = "") -> None:
        assert self.engine is not None
        server = self.engine.servers[self.pool_name, server_id]
        server.log.append(last_words)
        server.running = False
