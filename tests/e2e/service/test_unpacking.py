"""The archive of a download, unpacked by the programs that visitors have."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.requirements import ROOT, missing
from tmpnb.visitors.zip_stream import ZipStream

DEADLINE = 60.0  # seconds for one program
FILES = {
    "first.ipynb": b"{}",
    "Größe & Maß/数据 \U0001f600.csv": bytes(range(256)) * 5000,
    "random.bin": os.urandom(1_000_000),
    "empty.txt": b"",
    "empty folder/": b"",
    "what?: a <name>.txt": b"1",
    "what*: a |name>.txt": b"2",
    "caf\udce9.txt": b"3",
    "NUL.txt": b"4",
    "Upper": b"5",
    "upper": b"6",
    f"{'deep' * 20}/{'deeper' * 20}/{'deepest' * 20}.txt": b"7",
    "dots.../and spaces ": b"8",
}


@pytest.fixture
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Return a zip file, and what is in it by its names there."""
    stream, inside = ZipStream(), dict[str, bytes]()
    root = stream.folder("notebook-files")
    inside[f"{root}/"] = b""
    for path, content in FILES.items():
        folder, (*folders, name) = root, path.split("/")
        for part in folders:
            folder = stream.folder(f"{folder}/{part}")
            inside[f"{folder}/"] = b""
        if name:
            inside[stream.begin(f"{folder}/{name}")] = content
            for start in range(0, len(content), 65_536):
                stream.write(content[start : start + 65_536])
            stream.end()
    stream.close()
    path = tmp_path_factory.mktemp("archive") / "notebook-files.zip"
    path.write_bytes(stream.take())
    return path, inside


def run(*command: str | Path) -> str:
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(  # noqa: S603 - what the tests name
        command, capture_output=True, text=True, timeout=DEADLINE, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def program(name: str, package: str) -> str:
    return shutil.which(name) or missing(f"{name}: apt-get install {package}")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        f"{path.relative_to(folder)}{'/' * path.is_dir()}": b""
        if path.is_dir()
        else path.read_bytes()
        for path in folder.rglob("*")
    }


Archive = tuple[Path, dict[str, bytes]]


def test_java_reads_it_from_front_to_back(archive: Archive) -> None:
    program("javac", "default-jdk-headless")  # which `java` needs for a file of source
    java = program("java", "default-jdk-headless")
    said = run(java, ROOT / "tests" / "support" / "ReadForwards.java", archive[0])
    lines = (line.partition(" ") for line in said.splitlines())
    assert {bytes.fromhex(n).decode(): bytes.fromhex(c) for n, _, c in lines} == archive[1]


def test_unzip_unpacks_it(archive: Archive, tmp_path: Path) -> None:
    said = run(program("unzip", "unzip"), archive[0], "-d", tmp_path)
    assert tree(tmp_path) == archive[1]
    assert "warning" not in said


def test_seven_zip_unpacks_it(archive: Archive, tmp_path: Path) -> None:
    said = run(program("7z", "p7zip-full"), "x", f"-o{tmp_path}", archive[0])
    assert tree(tmp_path) == archive[1]
    assert "Everything is Ok" in said
    assert "arning" not in said


def test_python_unpacks_it(archive: Archive, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive[0]) as opened:
        assert opened.testzip() is None
        opened.extractall(tmp_path)
    assert tree(tmp_path) == archive[1]
