"""What a visitor can fill, tried from inside a server on a real engine, with small bounds."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from tests.support.engines.contract import DEADLINE, stub_command, wait_until, wait_until_it_answers
from tests.support.engines.docker import RealEngine
from tests.support.requirements import TEST_IMAGE
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.docker.image.copies import PREFIX
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.system.http.client import Client

pytestmark = [pytest.mark.docker, pytest.mark.gen_test(timeout=240)]

MB = 1024**2
LIMIT = 8 * MB
HOME, TMP = "/home/jovyan", "/tmp"  # noqa: S108 - in a container
SHARED = "/dev/shm"  # noqa: S108 - in a container; the engine's own bound is 64 MB of memory
SPEC = ServerSpec("filled", "/user/filled/", "token")

# Fills each place, by files or by their number, and goes on to the next with all of it in place.
FILL = """
import json, os, sys
most, places = int(sys.argv[1]), sys.argv[2:]
told = {}
for place in places:
    written = 0
    try:
        with open(f"{place}/fill", "ab") as file:
            while written < most:
                written += os.write(file.fileno(), bytes(65536))
    except OSError as error:
        told[place] = [written, error.strerror]
    else:
        told[place] = [written, ""]
print(json.dumps(told))
"""
COUNT = """
import json, sys
most, places = int(sys.argv[1]), sys.argv[2:]
told = {}
for place in places:
    made = 0
    try:
        while made < most:
            open(f"{place}/count-{made}", "x").close()
            made += 1
    except OSError as error:
        told[place] = [made, error.strerror]
    else:
        told[place] = [made, ""]
print(json.dumps(told))
"""
CORE = """
import resource
print(*resource.getrlimit(resource.RLIMIT_CORE))
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
except ValueError as error:
    print(error)
"""

Starter = Callable[..., Awaitable[None]]


async def start(client: Client, spawner: DockerSpawner) -> None:
    """Start a server; return once it answers: before, its home may not be whole."""
    address = await spawner.start(SPEC)
    await wait_until_it_answers(client, f"{address}{SPEC.base_url}api")


@pytest.fixture
def started(engine: RealEngine, client: Client, io_loop: IOLoop) -> Iterator[Starter]:
    """Return a function that starts one server whose disk is bounded."""
    made: list[DockerSpawner] = []

    async def make(**settings: Any) -> None:
        settings = {"disk_limit": str(LIMIT), **settings}
        spawner = engine.new_spawner("disk", stub_command("python3"), **settings)
        made.append(spawner)
        await spawner.setup()
        await start(client, spawner)

    yield make
    for spawner in made:
        io_loop.run_sync(spawner.close, timeout=DEADLINE)


def inside(engine: RealEngine, *command: str) -> str:
    [container] = engine.containers()
    job = engine.client.exec_create(container["Id"], list(command))
    return str(engine.client.exec_start(job["Id"]).decode())


def filled(engine: RealEngine, most: int, *places: str) -> dict[str, list[Any]]:
    """Return how many bytes went into each place, and what ended it."""
    said: dict[str, list[Any]] = json.loads(
        inside(engine, "python3", "-c", FILL, str(most), *places)
    )
    return said


async def test_a_server_fills_its_home_and_tmp_and_nothing_on_any_disk(
    engine: RealEngine, started: Starter
) -> None:
    await started()
    found = filled(engine, LIMIT + 4 * MB, HOME, TMP)
    assert {why for _, why in found.values()} == {"No space left on device"}
    assert LIMIT // 2 < sum(written for written, _ in found.values()) <= LIMIT
    closed = ["/", "/var/tmp", "/opt", "/opt/tmpnb-kit", "/opt/tmpnb-home", "/etc", "/run", "/dev"]  # noqa: S108
    refused = filled(engine, MB, *closed)
    assert [written for written, _ in refused.values()] == [0] * len(closed), refused
    assert "Read-only file system" in {why for _, why in refused.values()}
    [(shared, why)] = filled(engine, 68 * MB, SHARED).values()
    assert (shared <= 64 * MB, why) == (True, "No space left on device")


async def test_what_is_mounted_to_disk_inside_is_read_only(
    engine: RealEngine, started: Starter
) -> None:
    await started()
    mounts = [line.split() for line in inside(engine, "cat", "/proc/mounts").splitlines()]
    in_memory = ("tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2")
    on_disk = {fields[1]: fields[3].split(",") for fields in mounts if fields[2] not in in_memory}
    assert {"/", "/etc/hosts", "/opt/tmpnb-home", "/opt/tmpnb-kit"} <= set(on_disk)
    assert {place for place, options in on_disk.items() if "ro" not in options} == set()


async def test_files_are_bounded_in_number_too(engine: RealEngine, started: Starter) -> None:
    await started()
    said = json.loads(inside(engine, "python3", "-c", COUNT, "3000", HOME, TMP))
    assert {why for _, why in said.values()} == {"No space left on device"}
    most = LIMIT // 4096  # the home and /tmp together
    assert most // 2 < sum(made for made, _ in said.values()) <= most


async def test_a_home_in_memory_begins_with_what_the_image_has_there_each_time(
    engine: RealEngine, started: Starter
) -> None:
    await started()
    assert inside(engine, "sh", "-c", "stat -c %u:%g ~/demo.ipynb") == "1000:1000\n"
    [container] = engine.containers()
    inside(engine, "sh", "-c", "echo mine > ~/mine; rm ~/demo.ipynb")
    engine.client.restart(container["Id"], timeout=1)

    async def is_new() -> bool:
        names = inside(engine, "sh", "-c", "ls ~").split()
        return "demo.ipynb" in names and "mine" not in names

    await wait_until(is_new, "the home as it is in the image")


async def test_no_program_of_the_machine_keeps_dumps_of_a_visitor(
    engine: RealEngine, started: Starter
) -> None:
    await started()
    [first, second] = inside(engine, "python3", "-c", CORE).splitlines()
    assert first == "0 0"
    assert "not allowed to raise maximum limit" in second


@pytest.fixture
def with_volumes(engine: RealEngine) -> Iterator[str]:
    """Return an image that declares volumes, one of them in its home."""
    name = f"tmpnb-test/volumes-{engine.run}"
    made = engine.client.create_container(TEST_IMAGE, ["true"], labels=engine.labels)
    changes = [f"VOLUME {HOME}/work", "VOLUME /data"]
    engine.client.commit(made["Id"], repository=name, changes=changes)
    engine.client.remove_container(made["Id"])
    yield name
    engine.client.remove_image(name, force=True)


async def test_volumes_that_an_image_declares_are_within_the_same_bound(
    engine: RealEngine, started: Starter, with_volumes: str
) -> None:
    await started(image=with_volumes)
    found = filled(engine, LIMIT + 4 * MB, HOME, f"{HOME}/work", TMP)
    assert {why for _, why in found.values()} == {"No space left on device"}
    assert LIMIT // 2 < sum(written for written, _ in found.values()) <= LIMIT
    [(written, why)] = filled(engine, MB, "/data").values()
    # Some kernels look first whose the place is.
    assert (written, why) in ((0, "Read-only file system"), (0, "Permission denied"))
    mounts = [line.split() for line in inside(engine, "cat", "/proc/mounts").splitlines()]
    [options] = [fields[3].split(",") for fields in mounts if fields[1] == "/data"]
    assert "ro" in options


@pytest.fixture
def with_lessons(engine: RealEngine) -> Iterator[str]:
    """Return an image that has some megabytes of lessons in its home."""
    name = f"tmpnb-test/lessons-{engine.run}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for number in range(20):
            lesson = tarfile.TarInfo(f"lessons/{number}.dat")
            lesson.size, lesson.uid, lesson.gid = MB, 1000, 1000
            tar.addfile(lesson, io.BytesIO(bytes([number]) * MB))
    made = engine.client.create_container(TEST_IMAGE, ["true"], labels=engine.labels)
    engine.client.put_archive(made["Id"], HOME, packed.getvalue())
    engine.client.commit(made["Id"], repository=name)
    engine.client.remove_container(made["Id"])
    yield name
    engine.client.remove_image(name, force=True)


def copies_of(engine: RealEngine) -> set[str]:
    found = engine.client.volumes()["Volumes"] or ()
    return {str(one["Name"]) for one in found if one["Name"].startswith(PREFIX)}


async def test_what_an_image_has_in_its_home_is_copied_before_the_first_start(
    engine: RealEngine, client: Client, with_lessons: str
) -> None:
    settings = {"disk_limit": "64m", "image": with_lessons}
    spawners = [engine.new_spawner(pool, stub_command("python3"), **settings) for pool in "ab"]
    first, other = spawners
    before = copies_of(engine)

    async def ready() -> bool:
        return not any(spawner.unready("") for spawner in spawners)

    try:
        for spawner in spawners:
            await spawner.setup()
        assert "is being copied" in first.unready("")
        await wait_until(ready, "copies for both pools, which know nothing of each other")
        copied = copies_of(engine) - before
        assert len(copied) == 2
        await start(client, first)
        assert copies_of(engine) - before == copied, "a start copies nothing"
        assert inside(engine, "sh", "-c", "cat ~/lessons/*.dat | wc -c").strip() == str(20 * MB)
        await other.close()
        assert len(copies_of(engine) - before) == 1, "the copy of who uses it stays"
        assert "lessons" in inside(engine, "sh", "-c", "ls /opt/tmpnb-home").split()
    finally:
        for spawner in spawners:
            await spawner.close()
