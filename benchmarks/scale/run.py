"""Fill one engine with servers, claim them all, talk to them, cull them, count what is left.

    python -m benchmarks.scale.run --servers 1000

It needs a Docker engine on this machine, the image of a tiny server (`make images`) and
the proxy. It runs the real `tmpnb` with the real proxy, and ends with 1 if anything went
wrong or anything was left behind. Speed is printed, and no reason to fail.

The phases: `fill` until all are ready; `claim` all of them through the proxy; `connect`
websockets through it; `hold` them with traffic; `cull`: silence, until all have ended
because nobody used them (their places are filled again meanwhile); `stop` tmpnb.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks.common.command import BenchmarkError, perform, say
from benchmarks.common.gauges import Usage, cpu_of, descendants, pids_by_name
from benchmarks.common.program import Program, running
from benchmarks.common.remains import IMAGE, LABEL, Engine
from benchmarks.scale.crowd import Crowd
from benchmarks.scale.results import Results
from tmpnb.errors import UnreachableError
from tmpnb.system.open_files import raise_limit
from tmpnb.system.process import marked

SLOWEST = 0.5  # servers a second; a run that is slower than this has hung
LOOKS, LOOK_PAUSE = 20, 0.5  # seconds between looks at what is left
PROGRESS = 5.0  # seconds between two lines
MOST_SERVERS = 1000  # a bridge of Linux has 1,023 ports, and each container takes one
NEIGHBOURS = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")  # most the kernel remembers
SPARE_NEIGHBOURS = 100  # of them not ours
SPARE_FILES = 500  # open files of the proxy and of this program besides websockets


class Run:
    """One run against one program."""

    def __init__(
        self, options: argparse.Namespace, program: Program, engine: Engine, results: Results
    ) -> None:
        self._options, self._program = options, program
        self._engine, self._results = engine, results
        self._crowd = Crowd(program.url)
        self._patience = 60 + options.servers / SLOWEST  # seconds for one phase
        results.tally = self._crowd.tally

    async def all_phases(self) -> None:
        """Do everything in turn.

        Raises:
            BenchmarkError: A phase did not come to its end.
        """
        servers = self._options.servers
        try:
            async with self._phase("fill"):
                await self._until(lambda s: s["available"] == servers, "all are ready")
            async with self._phase("claim"):
                await self._crowd.arrive(servers, self._options.at_once)
            async with self._phase("connect"):
                await self._crowd.open_websockets(self._options.websockets)
            async with self._phase("hold"):
                await self._hold()
            async with self._phase("cull"):
                await self._until(lambda s: not s["claimed"], "all have ended")
                await self._crowd.until_sent_away(self._patience)
            self._results.complaints = dict(Counter(self._program.complaints()))
            self._results.remains.routes = len(await self._crowd.routes_left())
        finally:
            self._crowd.leave()
        self._engine.containers()  # those that took the places; their processes must end as well
        async with self._phase("stop", ask=False):
            if await self._program.stop() != 0:
                self._results.tally.errors["tmpnb ended with an error"] += 1

    async def _hold(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._crowd.talk(self._options.hold, self._options.every))
            await asyncio.sleep(self._options.hold * 0.8)
            self._results.load = await asyncio.to_thread(self._load)

    def _load(self) -> dict[str, Usage]:
        self._engine.containers()
        own, engine = self._engine.processes(), pids_by_name()
        helpers, inside = pids_by_name(own), pids_by_name(descendants(own))
        groups = {
            "tmpnb": [self._program.pid],
            "proxy": descendants([self._program.pid]),
            "dockerd": engine.get("dockerd", []),
            "containerd": engine.get("containerd", []),
            "shims": helpers.get("containerd-shim", []),
            "port proxies": helpers.get("docker-proxy", []),
            "init processes": inside.get("docker-init", []),
            "servers": inside.get("stub", []),
            "this benchmark": [os.getpid()],
        }
        return {name: Usage.of(pids) for name, pids in groups.items() if pids}

    def _watched(self) -> dict[str, list[int]]:
        named = pids_by_name()
        return {
            "tmpnb": [self._program.pid],
            "proxy": descendants([self._program.pid]),
            "engine": [*named.get("dockerd", ()), *named.get("containerd", ())],
        }

    async def _until(self, done: Callable[[dict[str, int]], bool], what: str) -> None:
        await self._program.until(done, what, seconds=self._patience)

    @asynccontextmanager
    async def _phase(self, name: str, *, ask: bool = True) -> AsyncIterator[None]:
        """Time what is done inside, and say meanwhile how far it is."""
        say(f"{name} …")
        watched, begun = self._watched(), time.monotonic()
        before = {who: cpu_of(pids) for who, pids in watched.items()}
        telling = asyncio.create_task(self._tell(begun)) if ask else None
        try:
            yield
        finally:
            if telling is not None:
                telling.cancel()
        self._results.seconds[name] = time.monotonic() - begun
        self._results.cpu[name] = {
            who: max(0.0, cpu_of(pids) - before[who]) for who, pids in watched.items()
        }
        say(f"{name} took {self._results.seconds[name]:.1f} s")

    async def _tell(self, begun: float) -> None:
        phases = ("starting", "available", "claimed", "stopping")
        while True:
            await asyncio.sleep(PROGRESS)
            try:
                stats = await self._program.stats()
            except (UnreachableError, BenchmarkError):
                continue
            numbers = "  ".join(f"{stats.get(phase, 0):5d} {phase}" for phase in phases)
            errors = self._results.errors
            say(
                f"{time.monotonic() - begun:6.0f} s  {numbers}"
                + f"  {errors} errors" * bool(errors)
            )


async def measure(options: argparse.Namespace, engine: Engine) -> Results:
    """Run once; whatever happens, nothing stays behind that could be removed.

    Raises:
        BenchmarkError: It could not be brought to its end.
    """
    results = Results(vars(options))
    say(f"everything that is made in the engine carries the label {engine.label}")
    with removed_at_the_end(engine):
        flags = flags_of(options, engine)
        async with running(*flags) as program:
            await Run(options, program, engine, results).all_phases()
        await count_remains(results, engine, program.marker)
    return results


async def count_remains(results: Results, engine: Engine, marker: str) -> None:
    """Note what is left; what ends by itself in a moment is not."""
    routes = results.remains.routes
    for _ in range(LOOKS):
        results.remains = engine.remains()
        results.remains.routes = routes
        results.remains.processes += len(marked(marker))
        if not results.remains.total:
            return
        await asyncio.sleep(LOOK_PAUSE)


def flags_of(options: argparse.Namespace, engine: Engine) -> list[str]:
    """Return the command line of tmpnb."""
    return [
        "--spawner=docker",
        f"--image={options.image}",
        f"--pool-name={engine.pool}",
        f"--pool-size={options.servers}",
        f"--cull-timeout={options.idle}",
        f"--cull-period={max(1.0, options.idle / 3)}",
        f"--DockerSpawner.labels={LABEL}={engine.run}",
        "--stop-servers-on-exit",
        *([] if options.publish else ["--docker-network=bridge"]),  # the engine's default
        *options.tmpnb,
    ]


@contextmanager
def removed_at_the_end(engine: Engine) -> Iterator[None]:
    """Remove all that carries the run's label at the end of the block."""
    try:
        yield
    finally:
        engine.remove_all()


def check(options: argparse.Namespace) -> None:
    """Refuse what this machine cannot do.

    Raises:
        BenchmarkError: In one line.
    """
    if not 0 < options.servers <= MOST_SERVERS:
        raise BenchmarkError(f"--servers={options.servers}: it takes 1 to {MOST_SERVERS}")
    limit = raise_limit()
    needed = 2 * options.servers * options.websockets + SPARE_FILES
    if limit < needed:
        raise BenchmarkError(f"it needs {needed} open files, the limit is {limit}: ulimit -n")
    # The limit is the whole machine's, and is not shown in network namespaces but its first.
    if not NEIGHBOURS.exists():
        return
    if (neighbours := int(NEIGHBOURS.read_text())) < options.servers + SPARE_NEIGHBOURS:
        raise BenchmarkError(
            f"the kernel remembers {neighbours} neighbours, so that servers get out of reach:"
            " sysctl net.ipv4.neigh.default.gc_thresh3=8192 (docs/scale.md)"
        )


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--servers", type=int, default=1000, help="capacity of the pool, all of it claimed")
    add("--at-once", type=int, default=20, help="visitors who come at the same time")
    add("--websockets", type=int, default=3, help="held open to each server")
    add("--hold", type=float, default=120.0, help="seconds of traffic")
    add("--every", type=float, default=5.0, help="seconds between messages of one websocket")
    add("--idle", type=float, help="seconds after which a silent server ends")
    add("--publish", action="store_true", help="publish ports, instead of using own addresses")
    add("--image", default=IMAGE, help="of the servers")
    add("--tmpnb", action="append", default=[], help="one more flag, as --tmpnb=--logging=debug")
    add("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    if options.idle is None:  # the last must have websockets before the first is idle
        options.idle = max(5.0, options.servers / 15)
    return options


async def run(options: argparse.Namespace) -> int:
    """Measure and print; return the exit code.

    Raises:
        BenchmarkError: This machine cannot do it, or it could not be brought to its end.
    """
    check(options)
    results = await measure(options, Engine.reach(options.image))
    print(results.table())
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), default=str, indent=2) + "\n")
    return 1 if results.errors or results.remains.total else 0


def main() -> int:
    """Run the program; return its exit code."""
    options = arguments()
    return perform("scale", lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
