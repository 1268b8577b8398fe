"""One server that means ill, in a pool of ten, beside visitors who notice nothing of it."""

from __future__ import annotations

import asyncio
import io
import json
import random
import re
import shlex
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.faults.hostile_server import FILES
from tests.e2e.faults.run import Run
from tests.e2e.faults.visitor import Newcomer, Visitor
from tests.e2e.running_service import PERSON, Service
from tests.support.engines.contract import wait_until
from tmpnb.errors import UnreachableError

pytestmark = [pytest.mark.gen_test(timeout=400), pytest.mark.long]

SECONDS = 60.0  # of it all
INTERVAL = 1.0  # seconds between two passes
PLAYERS = 9
MOST_MEMORY = 150_000  # kB of the orchestrator
SEED = 20261129
SERVER = Path(__file__).with_name("hostile_server.py")
COMMAND = f"{shlex.join([sys.executable, str(SERVER)])} {{port}} {{ip}} {{base_path}}"
FLAGS = (
    f"--command={COMMAND}",
    "--pool-size=10",
    f"--reconcile-interval={INTERVAL:g}",
    "--cull-period=3",
    "--cull-timeout=20",
    "--cull-max=100000",
)


async def arriving(service: Service) -> Visitor:
    """Take a server, after a wait in line if there has to be one."""
    visitor = Visitor(service, await Newcomer(service).served())
    seen = await visitor.look()
    assert seen.code == 200, f"a dead server was handed out: {seen.code}"
    return visitor


def token_of(visitor: Visitor) -> dict[str, str]:
    return {"Authorization": f"token {visitor.url.rpartition('token=')[2]}"}


async def mean_ill(service: Service) -> None:
    """Take a server, make it hostile, and ask for all that its visitor may, for ever."""
    while True:  # until it is cancelled
        visitor = await arriving(service)
        turned = await visitor.ask(f"turn?seed={SEED}")
        assert turned.code == 200
        own, headers = f"/api/servers/{visitor.id}", token_of(visitor)
        paths = [own] * 4 + [f"/session/{visitor.id}/files.zip", f"/user/{visitor.id}/lab"]
        is_there = True
        while is_there:
            with suppress(UnreachableError):
                await asyncio.gather(*(service.fetch(p, headers=headers) for p in paths))
            is_there = (await service.fetch(own, headers=headers)).code == 200


class Honest:
    """One who claims, waits, reloads, downloads and ends, again and again."""

    def __init__(self, service: Service, seed: int) -> None:
        self.service, self.chance = service, random.Random(seed)  # noqa: S311 - no secret
        self.rounds = 0

    async def play(self, until: float) -> None:
        while time.monotonic() < until:
            await self._once()
            self.rounds += 1

    async def _once(self) -> None:
        visitor = await arriving(self.service)
        headers = token_of(visitor)
        for _ in range(self.chance.randint(1, 4)):
            assert (await visitor.look()).code == 200, "a reload"
            about = await self.service.fetch(f"/api/servers/{visitor.id}", headers=headers)
            told = json.loads(about.body)
            assert told["answers"] is True
            assert told["idle_at"] > told["now"]
            await asyncio.sleep(self.chance.uniform(0, 1))
        packed = await self.service.fetch(f"/session/{visitor.id}/files.zip", headers=headers)
        with zipfile.ZipFile(io.BytesIO(packed.body)) as archive:
            found = {Path(name).name: archive.read(name) for name in archive.namelist()}
        assert {name: found.get(name) for name in FILES} == FILES
        ended = await self.service.fetch(
            f"/api/servers/{visitor.id}", method="DELETE", headers=headers
        )
        assert ended.code == 204
        await wait_until(lambda: self.has_ended(visitor), "its page says that it has ended")

    async def has_ended(self, visitor: Visitor) -> bool:
        page = await self.service.fetch(f"/user/{visitor.id}/lab", headers=PERSON)
        return page.code in (404, 410) and b"ended" in page.body


async def passes(service: Service, until: float) -> set[float]:
    """Return the moments of the passes that there were, looking often."""
    seen: set[float] = set()
    url = f"{service.own_url}/health"
    while time.monotonic() < until:
        told: dict[str, Any] = json.loads((await service.client.fetch(url, timeout=20)).body)
        assert "pass" not in told["problems"]
        seen.add(told["last_pass"])
        await asyncio.sleep(INTERVAL / 5)
    return seen


def peak(service: Service) -> int:
    """Return the most memory that the orchestrator has had, in kB."""
    assert service.process is not None
    status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1])


async def test_a_hostile_server_harms_nobody(local_run: Run) -> None:
    async with local_run.serving(*FLAGS) as service:
        await service.until_ready(10)
        hostile = asyncio.create_task(mean_ill(service))
        idle = await arriving(service)
        until = time.monotonic() + SECONDS
        honest = [Honest(service, SEED + n) for n in range(PLAYERS - 1)]
        seen, *_ = await asyncio.gather(passes(service, until), *(h.play(until) for h in honest))
        assert all(h.rounds for h in honest)
        assert len(seen) >= SECONDS / INTERVAL / 2, "passes keep their period"
        assert peak(service) < MOST_MEMORY
        assert (await idle.look()).code in (404, 410), "who does nothing ends as promised"
        assert not hostile.done(), hostile
        # The service ends within the time of `Service.stop` though the hostile one asks on.
        await service.stop()
        hostile.cancel()
        await asyncio.wait({hostile})
