"""(e) Memory of notebook servers that wait, and of those with a kernel."""

from __future__ import annotations

import asyncio

from benchmarks.common.command import say
from benchmarks.common.gauges import Usage, descendants, pids_by_name
from benchmarks.common.program import Program
from benchmarks.common.remains import Engine
from benchmarks.compare.figures import OURS
from benchmarks.compare.world import World
from tmpnb.commands.load.kernel import Kernel
from tmpnb.commands.load.recognition import recognised
from tmpnb.commands.load.session import Session
from tmpnb.commands.load.tally import Tally
from tmpnb.commands.load.target import Target
from tmpnb.errors import VisitError

VISITORS = 4
PATIENCE = 120.0  # seconds for one
MB = 1e6  # bytes


async def measure(world: World, engine: Engine, program: Program, servers: int) -> None:
    """Measure a pool that is full, then let a few visitors start kernels."""
    waiting, helpers = _memory(engine)
    world.figures.add(("e", "a waiting notebook server", OURS), "MB", [waiting / servers])
    world.figures.add(("e", "a container beside its server", OURS), "MB", [helpers / servers])
    visitors = min(VISITORS, servers)
    say(f"{visitors} visitors start a kernel")
    door, sessions, kernels = await recognised(Target.parse(program.url)), [], []
    try:
        for _ in range(visitors):
            sessions.append(session := Session(PATIENCE))
            place = await door.enter(session, Tally(1))
            async with asyncio.timeout(PATIENCE):
                kernels.append(await Kernel.start(session, place, "", ""))
        used, _ = _memory(engine)
        each = (used - waiting) / visitors
        world.figures.add(("e", "a kernel that has done nothing yet", OURS), "MB", [each])
    except (VisitError, TimeoutError) as error:
        world.figures.fault(f"{OURS}, a kernel: {error}")
    finally:
        for kernel in kernels:
            kernel.disconnect()
        for session in sessions:
            session.close()


def _memory(engine: Engine) -> tuple[float, float]:
    """Return the megabytes of all that runs in containers, and of what runs beside them."""
    engine.containers()
    beside = engine.processes()
    named = pids_by_name(descendants(beside))
    own = [pid for name, pids in named.items() if name != "docker-init" for pid in pids]
    beside += named.get("docker-init", [])
    return Usage.of(own).memory / MB, Usage.of(beside).memory / MB
