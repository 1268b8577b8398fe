"""The command line of `tmpnb load`, read and checked."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tmpnb.commands.load.target import Target
from tmpnb.errors import ConfigError

MOST_VISITORS = 100_000
LONGEST = 24 * 3600.0  # seconds
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}  # seconds
HELP = """Lets visitors come to a notebook service, one after the other. Each does over HTTP
and websocket what a person's browser does: opens the URL, waits for a server, starts a kernel,
runs all code cells of a notebook, saves it, stays a while, and leaves. Files of the page
(scripts, styles) are not loaded. It finds out by itself whether it talks to tmpnb, to JupyterHub
with tmpauthenticator, or to one Jupyter server, whose token belongs into the URL. Ask the owner
before you load a service that is not yours: the cells really run there."""
EPILOG = """On a terminal it shows what happens, elsewhere it prints a line now and then. The exit
code is 0 if every visitor was served to the end, else 1. Ctrl-C sends all visitors away first."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be done. Times in seconds."""

    target: Target
    visitors: int
    every: float  # from one arrival to the next; 0: all at once
    notebook: Path | None  # None: one that is small
    idle: float  # that each stays after the last cell
    patience: float  # for any one step
    json: Path | None

    @property
    def arrivals(self) -> str:
        """How often visitors come, in words."""
        return f"{1 / self.every:g} a second" if self.every else "all at once"


def parse(words: Sequence[str]) -> Options:
    """Return the options that the words after `load` ask for.

    Raises:
        ConfigError: In one line.
        SystemExit: The help was asked for and printed.
    """
    found = parser().parse_args(words)
    return Options(
        target=Target.parse(found.url),
        visitors=_number("--visitors", found.visitors, 1, MOST_VISITORS),
        every=_every(found.arrivals),
        notebook=found.notebook,
        idle=_seconds("--idle", found.idle, 0.0),
        patience=_seconds("--patience", found.patience, 1.0),
        json=found.json,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"load: {message}; see tmpnb load --help")


def parser() -> argparse.ArgumentParser:
    """Return what knows the words of the command line."""
    made = _Parser(
        prog="tmpnb load",
        usage="tmpnb load URL [flags]",
        description=HELP,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("url", metavar="URL", help="where visitors go: http://127.0.0.1:8000/, or a deep link")
    add("--visitors", metavar="N", default="10", help="how many come in all (10)")
    add(
        "--arrivals",
        metavar="RATE",
        default="1/s",
        help="how often one comes: 10/s, 30/min, 100/h, or all for all at once (1/s)",
    )
    add("--notebook", metavar="FILE", type=Path, help="whose code cells each runs (a small one)")
    add("--idle", metavar="SECONDS", default="0", help="how long each stays afterwards (0)")
    add(
        "--patience",
        metavar="SECONDS",
        default="120",
        help="how long each waits for any one step: a server, a kernel, a cell (120)",
    )
    add("--json", metavar="FILE", type=Path, help="where the result is written to")
    return made


def _every(rate: str) -> float:
    if rate == "all":
        return 0.0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(s|min|h))?", rate)
    if found is None or not 0 < float(found[1]) < math.inf:
        raise ConfigError(f"--arrivals={rate}: write it as 10/s, 30/min, 100/h, or all")
    return UNITS[found[2] or "s"] / float(found[1])


def _number(flag: str, text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ConfigError(f"{flag}={text}: it takes a number from {least} to {most}")
    return int(text)


def _seconds(flag: str, text: str, least: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= LONGEST:
        raise ConfigError(f"{flag}={text}: it takes seconds from {least:g} to {LONGEST:g}")
    return value
