"""scripts/down removes what belongs to the pool of the Compose files, and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from requirements import ROOT, compose_plugin, docker_compose


@pytest.fixture(params=[docker_compose, compose_plugin], ids=["command", "plugin"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of what scripts/down reads, with an engine that only pretends.

    Of Compose itself only `config` is real.
    """
    (tmp_path / "docker-compose.yml").write_text((ROOT / "docker-compose.yml").read_text())
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "down").write_text((ROOT / "scripts" / "down").read_text())
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        f"""#!/bin/sh
[ "$1 $2" != "compose version" ] || exit 0
[ "$1 $2" != "compose config" ] || exec {request.param()} config
[ "$1 $2" = "ps --all" ] || [ "$2" = ls ] || echo "$@" >>{tmp_path}/done
case "$*" in
  *label=tmpnb.pool=mine) echo one; echo two ;;
  *label=tmpnb.kit=mine) echo kit ;;
  *network=tmpnb-internet) echo of-another-pool ;;
esac
"""
    )
    docker.chmod(0o755)
    return tmp_path


def down(installation: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["bash", str(installation / "scripts" / "down"), *options]
    path = f"{installation / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(  # noqa: S603 - our own script
        words,
        env={"PATH": path, "HOME": str(installation)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_first_the_services_stop_then_all_that_has_the_pools_labels_goes(
    installation: Path,
) -> None:
    (installation / ".env").write_text("TMPNB_NETWORK=mine\n")
    done = down(installation, "--volumes")
    assert done.returncode == 0, done.stderr
    assert (installation / "done").read_text().splitlines() == [
        "compose stop",
        "rm --force --volumes one two",
        "rm --force --volumes kit",
        "compose down --volumes",
        "network rm one two",
        "volume rm kit",
    ]


def test_what_compose_cannot_read_changes_nothing(installation: Path) -> None:
    (installation / "docker-compose.yml").write_text("services: [\n")
    done = down(installation)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "down: Compose cannot read its files; nothing is changed"
    )
    assert not (installation / "done").exists()


def test_without_a_name_of_the_pool_nothing_is_changed(installation: Path) -> None:
    (installation / "docker-compose.yml").write_text("services: { proxy: { image: proxy } }\n")
    done = down(installation)
    assert done.returncode == 1
    assert "no --pool-name; nothing is changed" in done.stderr
    assert not (installation / "done").exists()
