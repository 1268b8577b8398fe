"""The report of `compare.run`: the machine's facts, Markdown tables, JSON."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker

from benchmarks.common.gauges import machine
from benchmarks.compare.figures import DIRECT, FLOOR, HUB, OURS, Figures, Row, ratio
from benchmarks.compare.jupyterhub import PYTHON
from benchmarks.compare.plan import Plan
from tmpnb import __version__

HEADINGS = {
    "a": "From GET `/` to the notebook page's 200, for new visitors",
    "b": "From GET `/` to the first executed cell, in Chromium",
    "c": "A burst within one second on a full pool of tiny servers",
    "d": "Refill: servers that become ready per second",
    "e": "Memory",
    "f": "Bytes sent to the browser",
    "g": "Through the proxy and direct",
    "h": "Cost as the pool grows, tiny servers",
}
NOTES = {
    "a": """tmpnb has a full pool; JupyterHub starts a server for each visitor; `docker run` starts
one container for each by hand, until its API answers.""",
    "b": """A new visitor each time. With a warm cache, the browser has been here before, but each
server's files have their own address, so the cache helps little.""",
    "d": "`docker run`: as many in parallel as tmpnb starts, with the same limits.",
    "e": """JupyterHub's tiny servers were started through its API. Shared memory is divided
between the processes that share it.""",
    "g": "Both systems use the same proxy. Requests on 8 keep-alive connections.",
}
INTRODUCTION = """Written by `make bench`; do not edit. The systems took turns on one machine with
the same image. The values are medians, with the 95th percentile in brackets if there is more than
one value. The last column shows how many times better tmpnb is than each of the others, from left
to right; below 1 the other is better."""
ORDER = (OURS, HUB, FLOOR, DIRECT)
BUSY = 0.5  # of a core at work before the run begins


def facts(plan: Plan, load: float, cores: int) -> dict[str, str]:
    """Return what the figures hang on; nothing in it names the machine.

    Args:
        plan: That was carried out.
        load: Of the machine before, tasks that ran or wanted to.
        cores: Of the machine.
    """
    engine = docker.from_env()
    version = engine.version()["Version"]
    engine.close()
    busy = f"{load:.1f} tasks before the run"
    other = f"yes ({busy}): take the figures for too high" if load > BUSY else f"no ({busy})"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "run": plan.name,
        "machine": machine(),
        "processors in use": str(cores),
        "kernel": platform.release().partition("-")[0],
        "the machine had other work": other,
        "Python": platform.python_version(),
        "Docker": str(version),
        "tmpnb": __version__,
        "JupyterHub": _said(str(PYTHON), "-m", "jupyterhub", "--version"),
        "configurable-http-proxy": _said("configurable-http-proxy", "--version"),
    }


def as_json(known: Mapping[str, str], figures: Figures, seconds: float) -> dict[str, Any]:
    """Return the whole report in plain values."""
    return {
        "facts": dict(known),
        "seconds": round(seconds),
        "rows": [row.as_json() for row in figures.rows],
        "errors": figures.errors,
        "missing": figures.missing,
    }


def markdown(report: Mapping[str, Any], figure: str) -> str:
    """Return the report for people, from its JSON.

    Args:
        report: As `as_json` made it.
        figure: File name of the picture; empty for none.
    """
    figures = from_json(report)
    blocks = [
        "# tmpnb compared with its peers",
        INTRODUCTION,
        "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in report["facts"].items())]),
        *([f"![The main figures as bars]({figure})"] if figure else []),
        *("\n".join(_part(figures, part)) for part in figures.parts()),
    ]
    problems = [f"- {count} x {what}" for what, count in figures.errors.items()]
    problems += [f"- not measured: {reason}" for reason in figures.missing]
    blocks += ["## What went wrong", "\n".join(problems) or "Nothing."]
    return "\n\n".join(blocks) + "\n"


def from_json(report: Mapping[str, Any]) -> Figures:
    """Return the figures of a report."""
    keys = ("part", "what", "system", "unit", "more_is_better")
    rows = [Row(**{k: r[k] for k in keys}, values=tuple(r["values"])) for r in report["rows"]]
    return Figures(rows, dict(report["errors"]), list(report["missing"]))


def write(report: Mapping[str, Any], directory: Path, figure: str) -> None:
    """Write JSON and Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (directory / "README.md").write_text(markdown(report, figure), encoding="utf-8")


def shown(row: Row | None) -> str:
    """Return a cell of a table."""
    if row is None:
        return ""
    more = f" ({number(row.p95)})" if len(row.values) > 1 else ""
    return f"{number(row.median)}{more} {row.unit}".rstrip()


def number(value: float) -> str:
    """Return a value with three digits that count."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - len(str(int(abs(value)))) + 1)
    return f"{value:.{digits if abs(value) >= 1 else 3}f}"


def _part(figures: Figures, part: str) -> Iterator[str]:
    found = list(figures.of(part))
    systems = [s for s in ORDER if any(row.system == s for _, rows in found for row in rows)]
    compared = len(systems) > 1
    yield f"## {part}. {HEADINGS[part]}"
    if part in NOTES:
        yield f"\n{NOTES[part]}"
    yield f"\n| | {' | '.join(systems)} |" + " times better |" * compared
    yield "|---|" + "---|" * (len(systems) + compared)
    for what, rows in found:
        by_system = {row.system: row for row in rows}
        cells = [shown(by_system.get(system)) for system in systems]
        yield f"| {what} | {' | '.join(cells)} |" + f" {_better(by_system)} |" * compared


def _better(rows: Mapping[str, Row]) -> str:
    ours = rows.get(OURS)
    if ours is None:
        return ""
    times = (ratio(ours, rows[system]) for system in ORDER[1:] if system in rows)
    return " / ".join(number(value) for value in times if value is not None)


def _said(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - programs of this project
    except (OSError, subprocess.SubprocessError):
        return "not installed"
    return done.stdout.strip()
