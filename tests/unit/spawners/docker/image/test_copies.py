"""Copies of what an image has: volumes that the engine fills, and homes filled from them."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import docker
import pytest

from tests.support.docker_stand_in import Engine, StandIn
from tmpnb.spawners.docker.image import copies as docker_copies
from tmpnb.spawners.docker.image.copies import (
    BEGIN,
    HOME,
    KEPT,
    PREFIX,
    Copied,
    Copies,
    Needed,
    NotCopiedError,
)
from tmpnb.spawners.docker.kit_volume import LABEL

IMAGE = "lesson"
JOVYAN, ROOM = "/home/jovyan", 4 * 1024**2
IDENTITY = {"owner": "us", LABEL: "pool"}


@pytest.fixture
def engine() -> Iterator[StandIn]:
    running = Engine()
    running.state.volumes = {}
    yield running.state
    running.close()


@pytest.fixture
def client(engine: StandIn) -> Iterator[docker.APIClient]:
    made = docker.APIClient(engine.url, version="1.41", timeout=10)
    yield made
    made.close()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def copies(client: docker.APIClient, clock: Clock) -> Copies:
    return Copies(client, "pool", {"owner": "us"}, clock)


def about(engine: StandIn, image_id: str, entrypoint: object) -> None:
    """Let the image be another one from now on."""
    config = {"Id": image_id, "Config": {"Entrypoint": entrypoint}}
    engine.rules.clear()
    engine.rule("GET /images/.*", lambda: (200, config))


def name_of(copied: Copied) -> str:
    [mount] = copied.mounts
    assert (mount["Target"], mount["ReadOnly"]) == (HOME, True)
    assert mount["VolumeOptions"]["NoCopy"] is True, "what the image has there is not in it"
    return str(mount["Source"])


def home(copies: Copies, image: str = IMAGE) -> Copied:
    copies.fill(image, Needed(home=JOVYAN))
    return copies.home(image, JOVYAN, ROOM)


def volumes(copies: Copies, places: list[str]) -> Copied:
    assert copies.fill(IMAGE, Needed(tuple(places))) == ""
    return copies.volumes(IMAGE, places)


def test_the_engine_fills_a_volume_from_the_home_of_the_image(
    engine: StandIn, copies: Copies
) -> None:
    name = name_of(home(copies))
    assert engine.volumes == {name: IDENTITY}
    [made] = engine.bodies
    [mount] = made["HostConfig"]["Mounts"]
    assert (mount["Source"], mount["Target"]) == (name, "/home/jovyan")
    assert "NoCopy" not in mount.get("VolumeOptions", {}), "or the engine would not fill it"
    assert engine.requests("/start") == []
    assert engine.containers == {}


def test_the_program_of_the_image_starts_after_its_home_is_there(
    engine: StandIn, copies: Copies
) -> None:
    about(engine, "sha256:1", ["tini", "--"])
    limit = str(3 * 1024)  # half of the disk, without what Jupyter needs
    found = home(copies).entrypoint
    assert found == ["sh", "-c", BEGIN, "tmpnb", "/home/jovyan", limit, "tini", "--"]
    about(engine, "sha256:1", None)
    assert home(copies).entrypoint == found[:6]


def test_volumes_of_an_image_are_copies_that_nobody_writes_to(
    engine: StandIn, copies: Copies
) -> None:
    found = volumes(copies, ["/data", "/books"])
    assert found.entrypoint is None
    assert [(m["Target"], m["ReadOnly"]) for m in found.mounts] == [
        ("/books", True),
        ("/data", True),
    ]
    filled = {b["HostConfig"]["Mounts"][0]["Source"]: b for b in engine.bodies}
    places = {m["Source"]: m["Target"] for m in found.mounts}
    for name, body in filled.items():
        assert body["HostConfig"]["Mounts"][0]["Target"] == places[name]
    assert volumes(copies, []) == Copied()


def test_no_server_has_what_is_not_copied_or_is_gone(engine: StandIn, copies: Copies) -> None:
    def refused() -> None:
        with pytest.raises(NotCopiedError, match="lesson has in /home/jovyan is not copied"):
            copies.home(IMAGE, JOVYAN, ROOM)
        with pytest.raises(NotCopiedError, match="lesson has in /data is not copied"):
            copies.volumes(IMAGE, ["/data"])

    refused()
    assert engine.bodies == [], "a start waits for no copy"
    assert copies.fill(IMAGE, Needed(("/data",), JOVYAN)) == ""
    assert copies.volumes(IMAGE, ["/data"]).mounts
    assert copies.home(IMAGE, JOVYAN, ROOM).mounts
    about(engine, "sha256:2", None)  # the tag means another one by now
    refused()
    engine.rules.clear()
    engine.volumes = {}
    refused()


def test_volumes_that_the_engine_refuses_keep_servers_from_starting(
    engine: StandIn, copies: Copies
) -> None:
    engine.refuse("POST /volumes/create", 403, "policy says no", times=1)
    wanted = Needed(("/data",))
    said = copies.fill(IMAGE, wanted)
    assert said == "what lesson has in /data could not be copied: policy says no"
    with pytest.raises(NotCopiedError):
        copies.volumes(IMAGE, ["/data"])
    assert copies.lacks(IMAGE, wanted)
    assert copies.fill(IMAGE, wanted) == ""
    assert not copies.lacks(IMAGE, wanted)
    assert copies.volumes(IMAGE, ["/data"]).mounts


def test_each_image_is_copied_once_however_many_start(engine: StandIn, copies: Copies) -> None:
    assert len({name_of(home(copies)) for _ in range(4)}) == 1
    assert len(engine.bodies) == 1
    about(engine, "sha256:2", None)  # the tag means another one by now
    name_of(home(copies))
    assert len(engine.bodies) == 2


def test_an_engine_that_does_not_say_whether_a_copy_is_there_makes_no_second_one(
    engine: StandIn, copies: Copies
) -> None:
    name = name_of(home(copies))
    engine.refuse("GET /volumes/.*", 500, "busy", times=1)
    copies.fill(IMAGE, Needed(home=JOVYAN))
    assert name_of(copies.home(IMAGE, JOVYAN, ROOM)) == name
    assert len(engine.bodies) == 1


def test_a_volume_that_somebody_removed_is_made_anew_under_another_name(
    engine: StandIn, copies: Copies
) -> None:
    first = name_of(home(copies))
    assert engine.volumes is not None
    engine.volumes = {first: {}}  # the engine itself made an empty one in its place
    second = name_of(home(copies))
    assert second != first
    assert engine.volumes[second] == IDENTITY


def test_what_former_runs_left_goes_unless_it_is_used(engine: StandIn, copies: Copies) -> None:
    engine.volumes = {
        f"{PREFIX}pool-old": IDENTITY,
        f"{PREFIX}pool-used": IDENTITY,
        "tmpnb-kit-pool-1": IDENTITY,
        f"{PREFIX}other": {LABEL: "other"},
    }
    engine.in_use.add(f"{PREFIX}pool-used")
    name = name_of(home(copies))
    assert set(engine.volumes) == {
        name,
        f"{PREFIX}pool-used",
        "tmpnb-kit-pool-1",
        f"{PREFIX}other",
    }


@pytest.mark.parametrize("pattern", ["POST /volumes/create", "POST /containers/create"])
def test_an_engine_that_refuses_it_costs_one_warning_and_no_server(
    engine: StandIn, copies: Copies, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refuse(pattern, 403, "policy says no")
    with caplog.at_level(logging.WARNING):
        assert [home(copies) for _ in range(3)] == [Copied()] * 3
    [record] = caplog.records
    assert "homes in memory begin empty" in record.getMessage()
    assert "policy says no" in record.getMessage()


@pytest.fixture
def stalled(
    engine: StandIn, client: docker.APIClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[threading.Event]:
    """Let the engine make containers and not say so within the client's time."""
    client.timeout = 0.5
    monkeypatch.setattr(docker_copies, "FILLING", 0.5)
    go = engine.hold("POST /containers/create", after=True)
    yield go
    go.set()


def test_a_copy_that_takes_too_long_leaves_nothing_behind(
    engine: StandIn, copies: Copies, stalled: threading.Event
) -> None:
    assert home(copies) == Copied()
    assert (engine.containers, engine.volumes) == ({}, {})
    [removal] = engine.requests("DELETE .*/containers/")
    assert "v=True" in removal, "other volumes of the image are copied into anonymous ones"
    said = copies.fill(IMAGE, Needed(("/data",)))
    assert said == "what lesson has in /data could not be copied: no answer in time"
    assert (engine.containers, engine.volumes) == ({}, {})


def test_a_copy_has_more_time_than_other_requests(
    engine: StandIn, client: docker.APIClient, copies: Copies
) -> None:
    client.timeout = 0.2
    never = threading.Event()

    def longer_than_others() -> None:
        never.wait(1.0)

    engine.rule("POST /containers/create", longer_than_others)
    assert name_of(home(copies)) in (engine.volumes or {})
    assert client.timeout == 0.2


def test_homes_are_said_to_be_empty_once_and_to_be_as_in_the_image_again(
    engine: StandIn, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refuse("POST /containers/create", 500, "no space left")
    caplog.set_level(logging.INFO)
    assert [home(copies) for _ in range(3)] == [Copied()] * 3
    about(engine, "sha256:2", None)
    assert name_of(home(copies, "lesson:2"))
    engine.rules.clear()
    assert name_of(home(copies)) in (engine.volumes or {})
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "begin as in the image again image=lesson" in caplog.text


def test_only_what_this_run_copied_and_nobody_uses_goes_with_it(
    engine: StandIn, copies: Copies
) -> None:
    used = name_of(home(copies))
    [mount] = volumes(copies, ["/data"]).mounts
    unused = mount["Source"]
    theirs = f"{PREFIX}pool-00ff00ff00ff"
    assert engine.volumes is not None
    engine.volumes[theirs] = IDENTITY
    engine.in_use.add(used)
    copies.remove()
    assert set(engine.volumes) == {used, theirs}, f"{unused} is gone"


def test_a_container_that_stays_costs_one_warning_and_goes_at_the_next_copy(
    engine: StandIn, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refuse("DELETE /containers/.*", 500, "device is busy", times=1)
    name = name_of(home(copies))
    assert name in caplog.text
    assert "device is busy" in caplog.text
    assert len(engine.containers) == 1
    about(engine, "sha256:2", None)
    assert name_of(home(copies)) != name
    assert engine.containers == {}


def test_containers_of_runs_that_were_killed_go_with_their_volumes(
    engine: StandIn, copies: Copies
) -> None:
    old = f"{PREFIX}pool-00ff00ff00ff"
    engine.volumes = {old: IDENTITY}
    engine.answer("POST", f"/containers/create?name={old}", killed(old, IDENTITY))
    others = [
        engine.add(f"{PREFIX}other-1", {LABEL: "other"}),
        engine.add("tmpnb-kit-pool-1", IDENTITY),
        engine.add(f"{PREFIX}theirs", {}),
    ]
    name = name_of(home(copies))
    assert sorted(engine.containers) == sorted(others)
    assert set(engine.volumes) == {name}
    [listed] = engine.requests("GET .*/containers/json")
    assert f'"{LABEL}=pool"' in unquote(listed), "of this pool alone"


def killed(name: str, labels: dict[str, str]) -> dict[str, object]:
    return {"Labels": labels, "HostConfig": {"Mounts": [{"Source": name, "Target": JOVYAN}]}}


def test_copies_of_images_that_are_rolled_out_go_when_no_server_uses_them(
    engine: StandIn, copies: Copies, clock: Clock
) -> None:
    about(engine, "sha256:1", None)
    first = name_of(home(copies))
    about(engine, "sha256:2", None)
    second = name_of(home(copies))
    assert engine.volumes is not None
    assert set(engine.volumes) == {first, second}, "a start may be about to use it"
    engine.in_use.add(first)
    clock.now += KEPT + 1
    assert name_of(home(copies)) == second
    assert set(engine.volumes) == {first, second}
    engine.in_use.clear()
    clock.now += KEPT + 1
    assert name_of(home(copies)) == second
    assert set(engine.volumes) == {second}
    about(engine, "sha256:1", None)
    assert name_of(home(copies)) != first


def begin(image: Path, home: Path, kilobytes: int) -> subprocess.CompletedProcess[str]:
    """Run the words that a server begins with, with directories of this machine."""
    script = BEGIN.replace(HOME, str(image))
    words = ["sh", "-c", script, "tmpnb", str(home), str(kilobytes), "sh", "-c", 'echo "$0"', "a b"]
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - our own words


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return a home as an image may have it."""
    made = tmp_path / "image"
    (made / "course/.hidden").mkdir(parents=True)
    (made / "course/one.ipynb").write_text("{}")
    (made / "course/run").write_text("#!/bin/sh\n")
    (made / "course/run").chmod(0o750)
    (made / ".bashrc").write_text("export A=1\n")
    (made / "link").symlink_to("course/one.ipynb")
    (made / "dangling").symlink_to("/nowhere/at/all")
    return made


def test_a_home_begins_as_it_is_in_the_image_and_then_the_program_runs(
    image: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = begin(image, home, 1024)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a b\n", "")
    assert (home / "course/one.ipynb").read_text() == "{}"
    assert (home / "course/run").stat().st_mode & 0o777 == 0o750
    assert (home / "course/.hidden").is_dir()
    assert (home / ".bashrc").exists()
    assert (home / "link").readlink() == Path("course/one.ipynb")
    assert (home / "dangling").readlink() == Path("/nowhere/at/all")


def test_a_home_that_does_not_fit_is_left_empty_and_said(image: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (image / "large").write_bytes(b"x" * 100_000)
    done = begin(image, home, 64)
    assert (done.returncode, done.stdout) == (0, "a b\n")
    assert f"what the image has in {home} is more than 64 kB" in done.stderr
    assert list(home.iterdir()) == []


def test_an_image_without_a_home_starts_all_the_same(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = begin(tmp_path / "absent", home, 64)
    assert (done.returncode, done.stdout) == (0, "a b\n")
    assert f"not all of what the image has in {home} is there" in done.stderr
