"""What a local home begins with: odd entries are copied or named, and none stops a start."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from tests.support.engines.contract import stub_command
from tmpnb.errors import ConfigError
from tmpnb.spawners.base import PoolIdentity, ServerSpec
from tmpnb.spawners.finding import Level
from tmpnb.spawners.local import contents as local_contents
from tmpnb.spawners.local.contents import Contents, copy, in_words, survey
from tmpnb.spawners.local.directory import Record, ServerDirectory
from tmpnb.spawners.local.spawner import LocalProcessSpawner

asynchronous = pytest.mark.gen_test(timeout=30)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "a.ipynb").write_text("{}")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def homes(folder: Path) -> list[Path]:
    return list(folder.glob("tmpnb-*/*/home"))


def left_out(contents: Contents) -> dict[str, str]:
    """Return why, by name."""
    pairs = (words.removesuffix(")").split(" (", 1) for words in contents.left_out)
    return {name: why for name, why in pairs}


def test_what_is_no_file_is_left_out_and_named(given: Path, home: Path) -> None:
    os.mkfifo(given / "pipe")
    (given / "zero").symlink_to("/dev/zero")
    (given / "kernel").symlink_to("/proc/kmsg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(given / "socket"))
        found = survey(given)
    copy(found, home)
    assert files(home) == {"a.ipynb"}
    assert left_out(found) == {
        "pipe": "a pipe",
        "socket": "a socket",
        "zero": "not for visitors",
        "kernel": "not for visitors",
    }


def test_links_are_followed_and_loops_named(given: Path, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/data.csv").write_text("1")
    (given / "sub").mkdir()
    for name, target in {
        "self": "self",
        "ping": "pong",
        "pong": "ping",
        "dangling": "nowhere",
        "through": "a.ipynb/x",
        "here": ".",
        "root": "/",
        "sub/up": "..",
        "folder": str(outside),
        "file": "folder/deep/data.csv",
    }.items():
        (given / name).symlink_to(target)
    (outside / "back").symlink_to(given)
    found = survey(given)
    copy(found, home)
    assert files(home) == {
        "a.ipynb",
        "sub",
        "folder",
        "folder/deep",
        "folder/deep/data.csv",
        "file",
    }
    assert not any(path.is_symlink() for path in home.rglob("*")), "or they reach the originals"
    whys = left_out(found)
    assert whys["self"] == whys["ping"] == "a link to itself"
    assert whys["dangling"] == whys["through"] == "a link to nothing"
    loop = "a link to a folder that contains it"
    assert {whys[name] for name in ("here", "root", "sub/up", "folder/back")} == {loop}


def test_folders_that_link_to_each_other_end(given: Path, home: Path) -> None:
    for name in "xyz":
        (given / name).mkdir()
        for other in "xyz":
            (given / name / other).symlink_to(f"../{other}")
    found = survey(given)
    copy(found, home)
    assert "x/y/z" in files(home)
    assert "x/y/x" not in files(home)


def test_links_without_end_are_bounded(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_contents, "MOST", 10)
    for number in range(12):
        (given / f"f{number:02}").write_text("")
    found = survey(given)
    assert len(found.entries) == 10
    assert "more than 10 files" in found.left_out[-1]


def test_names_in_any_bytes_are_copied(given: Path, home: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    (given / name).write_text("1")
    (given / (name + "2")).symlink_to("nowhere")
    found = survey(given)
    copy(found, home)
    assert (home / name).read_text() == "1"
    in_words(found.left_out).encode()  # can be logged


def test_what_cannot_be_read_costs_itself(
    given: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by the system's answers, as nothing is forbidden to root."""
    (given / "closed").mkdir()
    (given / "closed/x").write_text("")
    (given / "secret.txt").write_text("")
    list_folder, may_read = os.listdir, os.access

    def listed(path: str) -> list[str]:
        if path.endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return list_folder(path)

    def allowed(path: str, mode: int, **options: bool) -> bool:
        return not path.endswith("secret.txt") and may_read(path, mode, **options)

    monkeypatch.setattr(os, "listdir", listed)
    monkeypatch.setattr(os, "access", allowed)
    found = survey(given)
    monkeypatch.undo()
    copy(found, home)
    assert files(home) == {"a.ipynb", "closed"}
    assert left_out(found) == {"closed": "cannot be read", "secret.txt": "cannot be read"}


def test_a_file_that_changes_after_the_survey_costs_itself(given: Path, home: Path) -> None:
    for name in ("gone", "pipe", "kept"):
        (given / name).write_text("1")
    found = survey(given)
    (given / "gone").unlink()
    (given / "pipe").unlink()
    os.mkfifo(given / "pipe")
    copy(found, home)
    assert files(home) == {"a.ipynb", "kept"}


def test_mode_and_time_go_along_but_no_special_bits(given: Path, home: Path) -> None:
    (given / "run.sh").write_text("")
    (given / "run.sh").chmod(0o4755)
    os.utime(given / "run.sh", (1, 2))
    copy(survey(given), home)
    about = (home / "run.sh").stat()
    assert stat.S_IMODE(about.st_mode) == 0o755
    assert about.st_mtime == 2


def test_secrets_and_homes_are_not_copied(given: Path, home: Path, tmp_path: Path) -> None:
    state = given / "state"
    state.mkdir()
    (state / "secret_key").write_text("key")
    (given / "key").symlink_to("state/secret_key")
    found = survey(given, [state])
    copy(found, home)
    assert files(home) == {"a.ipynb"}
    assert set(left_out(found)) == {"state", "key"}
    inner = state / "contents"
    inner.mkdir()
    (inner / "b.ipynb").write_text("{}")
    (inner / "key").symlink_to("../secret_key")
    copy(survey(inner, [state]), tmp_path / "other")
    assert files(tmp_path / "other") == {"b.ipynb"}


IN_THE_WAY = [".jupyter", ".jupyter/labconfig", ".local", ".local/share", ".local/share/jupyter"]


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_a_file_where_jupyter_needs_a_folder_is_left_out_and_named(
    given: Path, tmp_path: Path, name: str
) -> None:
    (given / name).parent.mkdir(parents=True, exist_ok=True)
    (given / name).write_text("x")
    (given / "sub").mkdir()
    (given / "sub/.jupyter").write_text("no home's own")
    directory = furnished(given, tmp_path)
    assert "sub/.jupyter" in files(directory.home)
    assert not (directory.home / name).is_file()
    assert (directory.home / ".jupyter/labconfig/page_config.json").is_file()
    assert left_out(survey(given)) == {name: "Jupyter needs a folder there"}


def test_a_folder_where_jupyter_needs_a_file_is_left_out_and_named(
    given: Path, tmp_path: Path
) -> None:
    place = ".jupyter/labconfig/page_config.json"
    (given / place / "deep").mkdir(parents=True)
    assert (furnished(given, tmp_path).home / place).is_file()
    assert left_out(survey(given)) == {place: "Jupyter needs a file there"}


def test_the_folders_jupyter_needs_are_copied(given: Path, tmp_path: Path) -> None:
    place = given / ".jupyter/labconfig/page_config.json"
    place.parent.mkdir(parents=True)
    place.write_text("{}")
    assert (
        furnished(given, tmp_path).home / ".jupyter/labconfig/page_config.json"
    ).read_text() == "{}"
    assert survey(given).left_out == ()


def furnished(given: Path, tmp_path: Path) -> ServerDirectory:
    """Return the directory of a server that begins with a folder."""
    root = tmp_path / "root"
    root.mkdir()
    directory = ServerDirectory(root, "one")
    directory.create(Record(1, 0.0))
    directory.furnish(survey(given))
    return directory


def test_a_disk_that_is_full_is_a_failed_start(given: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        copy(survey(given), tmp_path / "absent" / "home")


def test_many_are_named_in_one_line() -> None:
    assert in_words(()) == ""
    assert in_words([f"f{n} (a pipe)" for n in range(12)]).endswith("f9 (a pipe), and 2 more")


@pytest.fixture
def spawner(given: Path, tmp_path: Path, io_loop: IOLoop) -> Iterator[LocalProcessSpawner]:
    made = LocalProcessSpawner(
        notebook_dir=str(given), directory=str(given), command=stub_command(sys.executable)
    )
    made.pool = PoolIdentity(state_dir=given / "state")
    yield made

    async def end() -> None:
        for instance in await made.list():
            await made.stop(instance.server_id)
        await made.close()

    io_loop.run_sync(end, timeout=30)


@asynchronous
async def test_servers_start_whatever_is_in_the_folder_and_it_is_told_of_once(
    given: Path, spawner: LocalProcessSpawner, caplog: pytest.LogCaptureFixture
) -> None:
    """The folder also holds the homes that are made of it, and the service's secrets."""
    caplog.set_level(logging.WARNING)
    os.mkfifo(given / "pipe")
    (given / "loop").symlink_to("loop")
    (given / ".jupyter").write_text("")
    spawner.pool.state_dir.mkdir()  # type: ignore[union-attr]  # set by the fixture
    await spawner.setup()
    async with asyncio.timeout(20):
        for server_id in ("one", "two"):
            await spawner.start(ServerSpec(server_id, f"/user/{server_id}/", "token"))
    (home,) = (f for f in homes(given) if f.parent.name == "two")
    assert files(home) & {"a.ipynb", "state", "pipe", "loop"} == {"a.ipynb"}
    assert not any(name.startswith("tmpnb-") for name in files(home))
    assert caplog.text.count("there), loop (a link to itself), pipe (a pipe)") == 1
    findings = [f async for f in spawner.examination().findings(1)]
    assert [f.level for f in findings if f.topic == "contents"] == [Level.WARN]


@asynchronous
async def test_the_place_of_secrets_is_no_folder_of_notebooks(
    given: Path, spawner: LocalProcessSpawner
) -> None:
    spawner.pool = replace(spawner.pool, state_dir=given)
    with pytest.raises(ConfigError, match=f"notebook_dir={given}: tmpnb keeps its own files"):
        await spawner.setup()
