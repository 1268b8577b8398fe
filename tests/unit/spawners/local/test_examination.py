"""What this machine tells of servers that are its own processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tmpnb.spawners.fake import FakeSpawner
from tmpnb.spawners.finding import Finding, Level
from tmpnb.spawners.local import examination as local_examination
from tmpnb.spawners.local.examination import USUAL_MEMORY, disk_finding, memory_finding
from tmpnb.spawners.local.spawner import LocalProcessSpawner

pytestmark = pytest.mark.gen_test(timeout=20)


async def found(spawner: LocalProcessSpawner) -> dict[str, Finding]:
    try:
        return {f.topic: f async for f in spawner.examination().findings(1)}
    finally:
        await spawner.close()


async def test_it_warns_that_nothing_is_kept_apart_and_leaves_nothing(tmp_path: Path) -> None:
    spawner = LocalProcessSpawner(directory=str(tmp_path), command="python3 -c pass")
    findings = await found(spawner)
    assert {t: f.level for t, f in findings.items()} == (
        {"engine": Level.WARN, "memory": Level.OK, "disk": findings["disk"].level}
    )
    assert "--spawner=docker" in findings["engine"].mend
    assert os.listdir(tmp_path) == []


async def test_a_program_that_is_missing_fails_and_the_rest_is_skipped(tmp_path: Path) -> None:
    spawner = LocalProcessSpawner(directory=str(tmp_path), command="no-such-notebook")
    findings = await found(spawner)
    assert findings["engine"].level is Level.FAIL
    assert "no-such-notebook is not installed" in findings["engine"].words
    assert [findings[t].level for t in ("memory", "disk")] == [Level.SKIP] * 2


def test_memory_is_held_against_the_capacity() -> None:
    assert memory_finding(10 * USUAL_MEMORY, 10).level is Level.OK
    assert memory_finding(10 * USUAL_MEMORY, 11).level is Level.WARN


def test_disk_is_judged_where_it_can_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_examination, "LITTLE_DISK", 0)
    assert disk_finding(tmp_path).level is Level.OK
    monkeypatch.setattr(local_examination, "LITTLE_DISK", float("inf"))
    assert disk_finding(tmp_path).level is Level.WARN
    assert disk_finding(tmp_path / "none").level is Level.SKIP


async def test_an_engine_that_tells_nothing_is_skipped() -> None:
    examination = FakeSpawner().examination()
    assert [f.level async for f in examination.findings(1)] == [Level.SKIP]
    assert (await examination.server("abc")).listeners is None
    assert not examination.has_images
