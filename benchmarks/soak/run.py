"""Turn over many servers in one process, and see that nothing grows.

    python -m benchmarks.soak.run                 # 20,000 pretend servers
    python -m benchmarks.soak.run --docker 500    # containers of the tiny image (make images)

Each server is claimed, then culled, abandoned, drained, killed from outside or reopened. The
orchestrator, its spawner and its proxy client are the real ones; the proxy is a table of
routes, and a clock that leaps makes servers idle at once. What is compared with the
end is the state after the first thousand (with Docker hundred): memory, tasks, open files,
threads, and the size of every collection. Ends with 1 if anything has grown.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.common.command import BenchmarkError, perform, say
from benchmarks.common.remains import IMAGE, LABEL, Engine
from benchmarks.soak.sample import growth
from benchmarks.soak.turnover import FailingSpawner, LeapingClock, Turnover, turning_over
from tmpnb.spawners.base import PoolIdentity, Spawner
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.spawners.fake import FakeEngine


async def run(options: argparse.Namespace) -> int:
    """Do it all; return the exit code."""
    total, warm = (options.docker, 100) if options.docker else (options.servers, 1000)
    warm = min(warm, total // 2)
    with in_docker(options) if options.docker else in_memory() as (spawner, kill, clock):
        async with turning_over(spawner, kill, clock, capacity=options.at_once) as turnover:
            await turnover.turn_over(warm)
            first = last = await turnover.sample()
            say(first.line())
            while turnover.gone < total:
                await turnover.turn_over(min(warm, total - turnover.gone))
                last = await turnover.sample()
                say(last.line())
            grown = growth(first, last)
            if any(what.startswith("memory") for what in grown):
                await show_allocations(turnover, warm)
    print("\n".join(f"grown: {what}" for what in grown) or "nothing has grown")
    return 1 if grown else 0


async def show_allocations(turnover: Turnover, servers: int) -> None:
    """Print where memory grows, from one more round of servers."""
    tracemalloc.start()
    await turnover.turn_over(servers // 4)
    gc.collect()
    before = tracemalloc.take_snapshot()
    await turnover.turn_over(servers)
    gc.collect()
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    print(f"where memory grows, in {servers:,d} servers:")
    for difference in after.compare_to(before, "lineno")[:15]:
        print(f"  {difference}")


@contextmanager
def in_memory() -> Iterator[tuple[Spawner, Callable[[str], None], LeapingClock]]:
    """Yield a spawner of pretend servers, and what kills one."""
    clock, spawner = LeapingClock(), FailingSpawner()
    engine = spawner.engine = FakeEngine(clock)

    def kill(server_id: str) -> None:
        engine.servers[spawner.pool_name, server_id].running = False

    yield spawner, kill, clock


@contextmanager
def in_docker(
    options: argparse.Namespace,
) -> Iterator[tuple[Spawner, Callable[[str], None], LeapingClock]]:
    """Yield a spawner of containers, and what kills one; at the end all are removed.

    Raises:
        BenchmarkError: There is no engine or no image, or something was left behind.
    """
    engine = Engine.reach(options.image)
    spawner = DockerSpawner(image=options.image, labels={LABEL: engine.run})
    spawner.pool = PoolIdentity(engine.pool)

    def kill(server_id: str) -> None:
        for entry in engine.containers():
            if entry["Labels"]["tmpnb.server"] == server_id:
                engine.client.kill(entry["Id"])

    try:
        yield spawner, kill, LeapingClock()
        left = engine.remains()
    finally:
        engine.remove_all()
    if left.total:
        raise BenchmarkError(f"left behind: {left}")


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--servers", type=int, default=20_000, help="pretend servers to turn over")
    add("--docker", type=int, default=0, help="containers to turn over instead")
    add("--at-once", type=int, default=20, help="capacity of the pool")
    add("--image", default=IMAGE, help="of the containers")
    return parser.parse_args()


def main() -> int:
    """Run the program; return its exit code."""
    options = arguments()
    logging.disable(logging.CRITICAL)  # starts fail on purpose
    return perform("soak", lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
