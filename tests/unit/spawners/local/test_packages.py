"""The Python of a local server: the service's packages are seen in it, and stay as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tmpnb.spawners.local import packages as local_packages


@pytest.fixture
def place(tmp_path: Path) -> Path:
    local_packages.make(tmp_path / "python")
    return tmp_path / "python"


def run(place: Path, *words: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        [place / "bin" / words[0], *words[1:]], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


def test_packages_of_the_service_are_seen_after_its_own(place: Path) -> None:
    code = "import sys, tornado; print(sys.prefix); print(tornado.__file__); print(*sys.path)"
    prefix, tornado, path = run(place, "python", "-c", code).splitlines()
    assert prefix == str(place)
    assert tornado == sys.modules["tornado"].__file__
    own = place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    packages = str(Path(tornado).parents[1])
    assert path.split().index(str(own)) < path.split().index(packages)


def test_what_is_installed_there_comes_first_and_nobody_else_sees_it(
    place: Path, tmp_path: Path
) -> None:
    [own] = place.glob("lib/python*/site-packages")
    (own / "tornado.py").write_text("version = 'mine'")
    local_packages.make(other := tmp_path / "other")
    assert run(place, "python", "-c", "import tornado; print(tornado.version)") == "mine\n"
    version = run(other, "python", "-c", "import tornado; print(tornado.version)")
    assert version == f"{sys.modules['tornado'].version}\n"


@pytest.mark.parametrize("pip", ["pip", "pip3"])
def test_packages_of_the_service_cannot_be_removed_from_there(place: Path, pip: str) -> None:
    said = run(place, pip, "uninstall", "--yes", "tornado")
    assert "Not uninstalling tornado" in said
    assert "outside environment" in said
    assert Path(str(sys.modules["tornado"].__file__)).exists()


def kernel(prefix: Path, name: str, spec: Any) -> Path:
    folder = prefix / "share" / "jupyter" / "kernels" / name
    folder.mkdir(parents=True)
    text = spec if isinstance(spec, str) else json.dumps(spec)
    (folder / "kernel.json").write_text(text, encoding="utf-8")
    (folder / "logo-svg.svg").write_text("<svg/>")
    return folder


@pytest.mark.parametrize("python", ["python", "python3", sys.executable])
def test_kernels_of_the_service_run_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, python: str
) -> None:
    argv = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel(tmp_path, "python3", {"argv": [python, *argv], "display_name": "Python é"})
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    local_packages.make(place := tmp_path / "own")
    copy = Path(local_packages.kernels(place), "kernels", "python3")
    spec = json.loads((copy / "kernel.json").read_text(encoding="utf-8"))
    assert spec == {"argv": [str(place / "bin/python"), *argv], "display_name": "Python é"}
    assert (copy / "logo-svg.svg").read_text() == "<svg/>"


@pytest.mark.parametrize(
    "spec",
    ["", "{", "[]", "{}", {"argv": []}, {"argv": None}, {"argv": 3}, {"argv": ["R", "--slave"]}],
    ids=str,
)
def test_other_kernels_are_left_to_jupyter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: object
) -> None:
    kernel(tmp_path, "odd", spec)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    local_packages.make(place := tmp_path / "own")
    assert not Path(local_packages.kernels(place)).exists()


def test_programs_of_the_environment_come_first() -> None:
    assert local_packages.variables(Path("/p"), "/service/bin:/usr/bin") == {
        "PATH": "/p/bin:/service/bin:/usr/bin",
        "VIRTUAL_ENV": "/p",
    }
