"""What `make run` starts and installs, with pretended programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.requirements import ROOT

OURS = {
    "spawner": "local",
    "pool-size": "3",
    "pool-name": "run-8000",
    "notebook-dir": "welcome",
    "redirect-uri": "/notebooks/welcome.ipynb",
    "stop-servers-on-exit": "True",
    "proxy-port": "8000",
    "proxy-api-port": "8001",
    "ip": "127.0.0.1",
    "port": "9999",
    "admin-ip": "127.0.0.1",
    "admin-port": "10000",
}
NPM = """#!/bin/sh
echo "$@" >>npm.log
[ "$1" != pack ] || { mkdir -p package; tar -czf "$4/$(echo "$2" | tr @ -).tgz" package; }
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with our scripts and Makefile, in which nothing is installed."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for name in ("Makefile", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make_run(project: Path, args: str, **env: str) -> subprocess.CompletedProcess[str]:
    program(project / "scripts" / "bootstrap", "#!/bin/sh\n")
    program(project / ".venv" / "bin" / "tmpnb", '#!/bin/sh\nprintf "%s\\n" "$@"\n')
    return subprocess.run(  # noqa: S603 - our own words
        ["make", "--silent", "run", f"ARGS={args}"],  # noqa: S607 - found as everybody finds it
        cwd=project,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
    )


def flags_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    _open, _operators, *words = done.stdout.splitlines()
    found = dict(word.removeprefix("--").split("=", 1) for word in words)
    assert len(found) == len(words), "each flag once"
    return found


def test_without_arguments_it_is_for_a_first_look(project: Path) -> None:
    assert flags_of(make_run(project, "")) == OURS
    assert (ROOT / OURS["notebook-dir"] / Path(OURS["redirect-uri"]).name).is_file()


def test_ports_follow_the_public_one(project: Path) -> None:
    found = flags_of(make_run(project, "", PORT="9000", POOL_SIZE="5"))
    ports = {"proxy-port": "9000", "proxy-api-port": "9001", "port": "10999"}
    assert found == OURS | ports | {
        "admin-port": "11000",
        "pool-size": "5",
        "pool-name": "run-9000",
    }


@pytest.mark.parametrize(
    ("args", "given"),
    [
        ("--embed-origins=https://a.test", {"embed-origins": "https://a.test"}),
        ("--pool-size=7", {"pool-size": "7"}),
        ("--redirect-uri=/tree --cull-timeout=60", {"redirect-uri": "/tree", "cull-timeout": "60"}),
        ("'--brand=The Atlas; of $$HOME'", {"brand": "The Atlas; of $HOME"}),
        ('--welcome="Hello,  you"', {"welcome": "Hello,  you"}),
    ],
)
def test_flags_are_taken_in_place_of_ours(project: Path, args: str, given: dict[str, str]) -> None:
    assert flags_of(make_run(project, args)) == OURS | given


def test_other_spellings_of_a_flag_take_its_place_too(project: Path) -> None:
    done = make_run(project, "--pool_size=7 --no-stop-servers-on-exit --notebook-dir /srv")
    words = done.stdout.splitlines()[2:]
    assert words[-4:] == ["--pool_size=7", "--no-stop-servers-on-exit", "--notebook-dir", "/srv"]
    left = {word.partition("=")[0].removeprefix("--") for word in words[:-4]}
    assert left == OURS.keys() - {"pool-size", "stop-servers-on-exit", "notebook-dir"}


@pytest.mark.parametrize(
    ("args", "env"),
    [
        ("--proxy-port=9000", {}),
        ("--proxy_port 9000", {}),
        ("", {"PORT": "80"}),
        ("", {"PORT": "x"}),
    ],
)
def test_a_port_it_cannot_have_is_one_line(project: Path, args: str, env: dict[str, str]) -> None:
    done = make_run(project, args, **env)
    assert done.returncode != 0
    ours, makes = done.stderr.splitlines()
    assert ours.startswith("tmpnb: ")
    assert ours.endswith("make run PORT=9000")
    assert makes.startswith("make: ")


def bootstrap(project: Path, *extras: str) -> list[str]:
    """Run it; return what was asked of npm."""
    (project / "npm.log").write_text("")
    command = ["scripts/bootstrap", *extras]
    env = {"PATH": f"{project}/programs:{os.environ['PATH']}"}
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=project, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return (project / "npm.log").read_text().splitlines()


def test_only_what_is_asked_for_is_installed(project: Path) -> None:
    program(project / ".venv/bin/pip", f'#!/bin/sh\necho "pip 26 from {project}/.venv/lib"\n')
    program(project / ".venv/bin/python", "#!/bin/sh\n")
    program(project / "programs/npm", NPM)
    program(project / "programs/node", "#!/bin/sh\n")
    [proxy] = bootstrap(project, "local")
    assert "configurable-http-proxy@" in proxy
    assert "axe-core" not in proxy
    assert bootstrap(project, "local") == []
    both, thebe = bootstrap(project, "local", "test")
    assert "configurable-http-proxy@" in both
    assert "axe-core@" in both
    assert thebe.startswith("pack thebe@")
    assert bootstrap(project, "local", "test") == []
    assert bootstrap(project, "local") == []
