"""The main figures of a report as bars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.compare.figures import DIRECT, FLOOR, HUB, OURS, Figures
from benchmarks.compare.report import from_json

COLORS = {OURS: "#f37726", HUB: "#4e4e4e", FLOOR: "#9e9e9e", DIRECT: "#c8c8c8"}
PANELS = {
    "a": ("GET / to notebook page", "seconds", True),
    "b": ("GET / to first executed cell", "seconds", False),
    "d": ("refill", "ready servers a second", False),
    "h": ("a claim as the pool grows", "milliseconds", False),
}
DRAWN = {"h": "a claim"}  # how the lines begin, where not all of a part are drawn


def draw(report: Mapping[str, Any], path: Path) -> bool:
    """Write the picture; return whether there is anything to draw and matplotlib to draw it."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "tmpnb"  # the same figures make the same file
    from matplotlib import pyplot as plt

    figures = from_json(report)
    panels = [part for part in PANELS if any(row.part == part for row in figures.rows)]
    if not panels:
        return False
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    drawing, axes = plt.subplots(
        lines, columns, figsize=(5.2 * columns, 3.4 * lines), squeeze=False, layout="constrained"
    )
    for place, part in zip(axes.flat, panels, strict=False):
        _panel(place, figures, part)
    for place in list(axes.flat)[len(panels) :]:
        place.set_visible(False)
    drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(drawing)
    return True


def _panel(axes: Any, figures: Figures, part: str) -> None:
    title, unit, logarithmic = PANELS[part]
    found = [line for line in figures.of(part) if line[0].startswith(DRAWN.get(part, ""))]
    systems = [s for s in COLORS if any(row.system == s for _, rows in found for row in rows)]
    width = 0.8 / len(systems)
    for number, system in enumerate(systems):
        rows = [
            (at, row) for at, (_, rows) in enumerate(found) for row in rows if row.system == system
        ]
        places = [at - 0.4 + width * (number + 0.5) for at, _ in rows]
        heights = [row.median for _, row in rows]
        above = [max(0.0, row.p95 - row.median) for _, row in rows]
        axes.bar(places, heights, width, label=system, color=COLORS[system])
        axes.errorbar(places, heights, [[0.0] * len(above), above], fmt="none", ecolor="#222", lw=1)
    names = [what.removeprefix("first executed cell, ").replace(", ", ",\n") for what, _ in found]
    axes.set_xticks(range(len(found)), names, fontsize=7)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(unit, fontsize=8)
    if logarithmic:
        axes.set_yscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False)
