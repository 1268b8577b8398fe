"""The report of `make bench`: rows, ratios, rates, tables. Nothing is measured here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.compare import picture, plan, report
from benchmarks.compare.figures import FLOOR, HUB, OURS, Figures, Row, rate, ratio

FACTS = {"machine": "2 cores, 24 GiB", "the machine had other work": "no"}


def measured() -> Figures:
    found = Figures()
    found.add(("a", "1 visitor", OURS), "s", [0.02])
    found.add(("a", "1 visitor", HUB), "s", [4.0, 3.0, 5.0])
    found.add(("a", "1 visitor", FLOOR), "s", [1.0])
    found.add(("a", "1 visitor", OURS), "s", [0.04, 0.06])
    found.add(("d", "servers a second", OURS), "/s", [1.8], more_is_better=True)
    found.add(("d", "servers a second", FLOOR), "/s", [2.0], more_is_better=True)
    found.add(("c", "`/` to notebook page", OURS), "s", [])
    return found


def test_values_of_the_same_thing_come_together_and_none_are_no_row() -> None:
    found = measured()
    row = found.find("a", "1 visitor", OURS)
    assert row is not None
    assert (row.values, row.median, row.p95) == ((0.02, 0.04, 0.06), 0.04, 0.06)
    assert found.parts() == ["a", "d"]


def test_a_ratio_says_how_many_times_better_ours_is_whichever_way_is_better() -> None:
    def row(value: float, *, more: bool) -> Row:
        return Row("a", "x", OURS, "", (value,), more)

    assert ratio(row(0.5, more=False), row(2.0, more=False)) == 4.0
    assert ratio(row(1.0, more=True), row(2.0, more=True)) == 0.5
    assert ratio(row(0.0, more=False), row(2.0, more=False)) is None


def test_a_rate_counts_from_the_begin_of_the_first_to_the_last() -> None:
    assert rate(10.0, [11.0, 14.0, 12.0, 13.0]) == 1.0
    assert rate(10.0, []) == 0.0


def test_the_table_has_the_systems_side_by_side_and_how_many_times_better() -> None:
    text = report.markdown(report.as_json(FACTS, measured(), 60.0), "")
    assert "| | tmpnb | JupyterHub | docker run | times better |" in text
    assert "| 1 visitor | 0.040 (0.060) s | 4.00 (5.00) s | 1.00 s | 100 / 25.0 |" in text
    assert "| servers a second | 1.80 /s | 2.00 /s | 0.900 |" in text
    assert "| machine | 2 cores, 24 GiB |" in text
    assert text.endswith("## What went wrong\n\nNothing.\n")


def test_what_went_wrong_and_what_was_not_measured_is_said() -> None:
    found = measured()
    found.fault("a claim: HTTP 503")
    found.fault("a claim: HTTP 503", 2)
    found.missing.append("part b: there is no Chromium")
    text = report.markdown(report.as_json(FACTS, found, 60.0), "")
    assert "- 3 x a claim: HTTP 503\n- not measured: part b: there is no Chromium" in text


def test_a_report_is_made_anew_from_its_json(tmp_path: Path) -> None:
    first = report.as_json(FACTS, measured(), 60.0)
    report.write(first, tmp_path, "figure.svg")
    kept = json.loads((tmp_path / "report.json").read_text())
    assert report.markdown(kept, "figure.svg") == (tmp_path / "README.md").read_text()
    assert "![The main figures as bars](figure.svg)" in (tmp_path / "README.md").read_text()


def test_the_figure_is_left_out_without_anything_to_draw(tmp_path: Path) -> None:
    empty = report.as_json(FACTS, Figures(), 1.0)
    assert picture.draw(empty, tmp_path / "figure.svg") is False


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.01234, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (5080.4, "5,080")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert report.number(value) == text


@pytest.mark.parametrize("sizes", [plan.FULL, plan.QUICK], ids=lambda p: p.name)
def test_the_crowd_fits_on_the_largest_pool(sizes: plan.Plan) -> None:
    assert sizes.pools[-1] >= sizes.arrivals + sizes.claims
    assert sizes.visitors[0] == 1
