"""Engines that are too old: which of their parts is named, and when nothing is said."""

from __future__ import annotations

from typing import Any

import pytest

from tmpnb.spawners.docker.hardening.versions import findings
from tmpnb.spawners.finding import Level


def said(
    engine: str = "28.2.2", runc: str = "1.3.3", commit: str = "", of_engine: str = "5d6db84"
) -> dict[str, Any]:
    details = {"GitCommit": commit}
    return {
        "Version": engine,
        "Components": [
            {"Name": "Engine", "Version": engine, "Details": {"GitCommit": of_engine}},
            {"Name": "containerd", "Version": "1.7.27", "Details": details},
            {"Name": "runc", "Version": runc, "Details": details},
        ],
    }


OLD, NEW = "CVE-2024-21626", "CVE-2025-31133"


@pytest.mark.parametrize(
    ("runc", "flaws"),
    [
        ("1.0.0-rc93", (OLD, NEW)),
        ("1.1.5", (OLD, NEW)),
        ("v1.1.11", (OLD, NEW)),
        ("1.1.12", (NEW,)),
        ("1.2.7", (NEW,)),
        ("1.2.8", ()),
        ("1.3.2", (NEW,)),
        ("1.3.3", ()),
        ("1.4.0", ()),
        ("1.2.0-rc.1", (NEW,)),
        ("1.3.3-rc.1", (NEW,)),
        ("1.4.0-rc.1", (NEW,)),
        ("1.4.0-rc.2", (NEW,)),
        ("1.4.0-rc.2+dev", (NEW,)),
        ("1.4.0-alpha.9", (NEW,)),
        ("1.4.0-rc.3", ()),
        ("1.4.0-rc.10", ()),
        ("v1.4.0-rc3", ()),
        ("1.4.0+dev", ()),
        ("1.5.0-rc.1", ()),
        ("2.0.0", ()),
    ],
)
def test_a_runc_with_a_known_way_out_is_named_with_the_fix(
    runc: str, flaws: tuple[str, ...]
) -> None:
    found = list(findings(said(runc=runc, commit="v1-0-g51d5e94")))
    assert [finding.level for finding in found] == [Level.WARN] * bool(flaws)
    for finding in found:
        assert finding.words.startswith(f"runc {runc} ")
        assert "\n" not in finding.line()
        assert "update the engine" in finding.mend
        assert [flaw in finding.words for flaw in (OLD, NEW)] == [f in flaws for f in (OLD, NEW)]


@pytest.mark.parametrize(
    ("runc", "commit"),
    [
        ("1.1.5+ds1", "1.1.5+ds1-1+deb12u1"),
        ("1.1.7-0ubuntu1~22.04.2", ""),
        ("1.1.4", "1.1.4-1.el9"),
    ],
)
def test_what_a_distribution_built_is_not_judged_by_its_number(runc: str, commit: str) -> None:
    (found,) = findings(said(runc=runc, commit=commit))
    assert found.level is Level.SKIP
    assert OLD in found.words
    assert "security updates" in found.words


@pytest.mark.parametrize(
    ("engine", "commit", "old"),
    [
        ("19.03.15", "99e3ed8919", True),
        ("18.09.1", "18.09.1+dfsg1-7", True),
        ("20.10.24", "5d6db84", True),
        ("24.0.9", "fca702d", True),
        ("25.0.0-rc.1", "615dfdf", True),
        ("25.0.0-beta.2", "615dfdf", True),
        ("25.0.0", "615dfdf", False),
        ("26.0.0-rc.1", "615dfdf", False),
        ("28.2.2", "e6534b4", False),
        ("20.10.24+dfsg1", "5d6db84", False),
        ("24.0.7", "24.0.7-0ubuntu2~22.04.1", False),
        ("master-dockerproject", "", False),
    ],
)
def test_an_engine_that_nobody_mends_is_named_with_the_fix(
    engine: str, commit: str, old: bool
) -> None:
    found = list(findings(said(engine, of_engine=commit)))
    assert [finding.level for finding in found] == [Level.WARN] * old
    assert all(engine in finding.words and "Docker 25" in finding.mend for finding in found)


def test_podmans_runc_is_read_out_of_its_text() -> None:
    runtime = {"Name": "OCI Runtime (runc)", "Version": "runc version 1.1.5\ncommit: v1\nspec: 1.0"}
    podman = {"Name": "Podman Engine", "Version": "4.3.1"}
    (found,) = findings({"Components": [podman, runtime]})
    assert found.words.startswith("runc 1.1.5 ")
    crun = {"Name": "OCI Runtime (crun)", "Version": "crun version 1.8.1"}
    assert list(findings({"Components": [podman, crun]})) == []


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"Components": None},
        {"Components": "runc"},
        {"Components": [1, {"Name": "runc"}, {"Name": "Engine", "Version": None}]},
        {"Components": [{"Name": "runc", "Version": "unknown", "Details": None}]},
    ],
)
def test_what_is_not_told_is_not_judged(odd: dict[str, Any]) -> None:
    assert list(findings(odd)) == []
