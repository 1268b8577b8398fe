"""Measure tmpnb beside JupyterHub with tmpauthenticator, and beside containers started by hand.

    make bench                                  all of it, under 20 minutes
    make bench-quick                            a quick look, under 4 minutes
    python -m benchmarks.compare.run --only a d  some parts

It needs a Docker engine on this machine, the images of `make bench`, the proxy, Chromium, and
JupyterHub in `.cache/hub`; what is missing is left out and named in the report. The systems take
turns. Speed is never a reason to fail: it ends with 1 only if a part could not be measured to its
end, or if anything was left behind in the engine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from benchmarks.common.command import perform, say
from benchmarks.compare import (
    part_cell,
    part_claims,
    part_open,
    part_proxy,
    part_refill,
    picture,
    report,
)
from benchmarks.compare.plan import FULL, QUICK
from benchmarks.compare.world import World
from tmpnb.system.open_files import raise_limit

PARTS: Mapping[str, Callable[[World], Awaitable[None]]] = {
    "a": part_open.measure,
    "d": part_refill.measure,
    "c": part_claims.measure,
    "g": part_proxy.measure,
    "b": part_cell.measure,
}
LONGEST = {FULL.name: 1150.0, QUICK.name: 220.0}  # seconds; what is not done then is given up
PLACE = Path("docs/benchmarks")
PICTURE = "figure.svg"


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="small sizes")
    add(
        "--only",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        help="parts; c has e and h, b has f",
    )
    add("--out", type=Path, help="directory of the report")
    options = parser.parse_args()
    if options.out is None:
        whole = not options.quick and set(options.only) == set(PARTS)
        options.out = PLACE if whole else Path(".cache/bench")
    return options


async def run(options: argparse.Namespace) -> int:
    """Measure, write and print; return the exit code."""
    raise_limit()
    begun, load = time.monotonic(), os.getloadavg()[0]
    world = World(QUICK if options.quick else FULL)
    for part in options.only:
        await _measured(world, part, begun + LONGEST[world.plan.name] - time.monotonic())
    known = report.facts(world.plan, load, len(os.sched_getaffinity(0)))
    found = report.as_json(known, world.figures, time.monotonic() - begun)
    report.write(found, options.out, "")
    drawn = picture.draw(found, options.out / PICTURE)
    report.write(found, options.out, PICTURE if drawn else "")
    print(report.markdown(found, ""))
    say(f"took {time.monotonic() - begun:.0f} s; the report is in {options.out}")
    if world.left_behind:
        say(f"left behind in the engine: {world.left_behind}")
    return 1 if world.left_behind or world.figures.missing else 0


async def _measured(world: World, part: str, seconds: float) -> None:
    """Measure a part; what keeps it from its end is noted, and the next one begins."""
    say(f"part {part}")
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await PARTS[part](world)
    except TimeoutError:
        world.figures.missing.append(f"part {part} did not come to its end in time")
    except Exception as error:  # noqa: BLE001 - a part that breaks shall not cost the others
        first = (str(error) or type(error).__name__).splitlines()[0]
        world.figures.missing.append(f"part {part}: {first}")
        say(f"{type(error).__name__}: {error}")


def main() -> int:
    """Run the program; return its exit code."""
    options = arguments()
    return perform("bench", lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
