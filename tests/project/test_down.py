"""scripts/down removes what belongs to the pool of the Compose files, and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.requirements import ROOT, compose_plugin, docker_compose


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
here={tmp_path}/engine
case "$*" in
  *network=tmpnb-internet) echo of-another-pool ;;
  "ps --all --quiet --filter "*) cat $here/container-"${{5#label=}}" 2>/dev/null ;;
  *" ls --quiet --filter "*) cat $here/$1-"${{5#label=}}" 2>/dev/null ;;
  *)
    echo "$@" >>{tmp_path}/done
    [ ! -e {tmp_path}/busy ] || {{ rm {tmp_path}/busy; echo "removal is in progress" >&2; exit 1; }}
    case "$*" in
      "rm --force"*) rm $here/container-* ;;
      *" rm "*) rm $here/$1-* ;;
    esac
    ;;
esac
exit 0
"""
    )
    docker.chmod(0o755)
    engine = tmp_path / "engine"
    engine.mkdir()
    (engine / "container-tmpnb.pool=mine").write_text("one\ntwo\n")
    (engine / "container-tmpnb.kit=mine").write_text("filling\n")
    (engine / "network-tmpnb.pool=mine").write_text("lan\n")
    (engine / "volume-tmpnb.kit=mine").write_text("kit\n")
    return tmp_path


ALL = [
    "compose stop",
    "rm --force --volumes one two filling",
    "compose down --volumes",
    "network rm lan",
    "volume rm kit",
]


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
    assert (installation / "done").read_text().splitlines() == ALL


def test_what_the_engine_has_not_let_go_of_is_tried_again(installation: Path) -> None:
    (installation / ".env").write_text("TMPNB_NETWORK=mine\n")
    docker = installation / "bin" / "docker"
    # Busy from the first removal on, and no longer than that.
    text = docker.read_text().replace("busy ]", 'busy ] || [ "$1" != rm ]')
    docker.write_text(text)
    (installation / "busy").touch()
    done = down(installation, "--volumes")
    assert (done.returncode, done.stderr) == (0, "")
    assert (installation / "done").read_text().splitlines() == [ALL[0], ALL[1], *ALL[1:]]


def test_what_compose_cannot_read_changes_nothing(installation: Path) -> None:
    (installation / "docker-compose.yml").write_text("services: [\n")
    done = down(installation)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "down: Compose cannot read its files; nothing was changed"
    )
    assert not (installation / "done").exists()


def test_without_a_name_of_the_pool_nothing_is_changed(installation: Path) -> None:
    (installation / "docker-compose.yml").write_text("services: { proxy: { image: proxy } }\n")
    done = down(installation)
    assert done.returncode == 1
    assert "no --pool-name; nothing was changed" in done.stderr
    assert not (installation / "done").exists()


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_prints_what_the_script_is_for_and_changes_nothing(
    installation: Path, option: str
) -> None:
    done = down(installation, "--volumes", option)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Stops the service of docker-compose.yml")
    assert lines[-1].split() == ["-h,", "--help", "print", "this", "help", "and", "exit"]
    assert not (installation / "done").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--volume"], "--volume is not an option"),
        (["--volumes=true"], "--volumes=true is not an option"),
        (["-x"], "-x is not an option"),
        (["-vt"], "-vt is not an option"),
        (["orchestrator"], "orchestrator is not an option"),
        (["a\nb"], "is not an option"),
        ([""], "is not an option"),
        (["--"], "-- is not an option"),
        (["--volumes", "--dry-run"], "--dry-run is not an option"),
        (["-t"], "-t needs a value"),
        (["--rmi"], "--rmi needs a value"),
        (["--timeout", "--volumes"], "--timeout takes whole seconds"),
        (["--timeout=soon"], "--timeout takes whole seconds"),
        (["--timeout=1\n2"], "--timeout takes whole seconds"),
        (["--timeout="], "--timeout takes whole seconds"),
        (["-t", "-1"], "--timeout takes whole seconds"),
        (["--rmi", "none"], "--rmi takes all or local"),
        (["--rmi=all local"], "--rmi takes all or local"),
    ],
)
def test_an_option_that_is_not_known_changes_nothing(
    installation: Path, options: list[str], words: str
) -> None:
    done = down(installation, *options)
    assert (done.returncode, done.stdout) == (1, "")
    [said] = done.stderr.splitlines()
    assert said.startswith("down: ")
    assert words in said
    assert said.endswith("; nothing was changed")
    assert not (installation / "done").exists()


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ([], ""),
        (["-v"], " -v"),
        (["--remove-orphans", "--volumes"], " --remove-orphans --volumes"),
        (["-t", "5"], " --timeout=5"),
        (["--timeout", "5", "-v"], " --timeout=5 -v"),
        (["--timeout=5"], " --timeout=5"),
        (["--rmi", "all"], " --rmi=all"),
        (["--rmi=local"], " --rmi=local"),
    ],
)
def test_known_options_reach_compose(installation: Path, options: list[str], passed: str) -> None:
    (installation / ".env").write_text("TMPNB_NETWORK=mine\n")
    done = down(installation, *options)
    assert done.returncode == 0, done.stderr
    assert (installation / "done").read_text().splitlines()[2] == f"compose down{passed}"
