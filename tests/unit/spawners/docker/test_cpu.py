"""What a container may use at most, and what the engine says it has used."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest
from docker.errors import DockerException

from tmpnb.core.observation import Used
from tmpnb.errors import SpawnerError
from tmpnb.spawners.docker import cpu
from tmpnb.spawners.docker.cpu import READERS, CpuReadings, seconds_in, used_in
from tmpnb.spawners.docker.spawner import DockerSpawner
from tmpnb.spawners.docker_api.threads import Lane


@pytest.mark.parametrize(
    ("settings", "full"),
    [
        ({}, 1.0),
        ({"cpu_quota": 50_000}, 0.5),
        ({"cpu_quota": 400_000}, 1.0),
        ({"extra_host_config": {"nano_cpus": 250_000_000}}, 0.25),
        ({"extra_host_config": {"cpu_quota": 10_000, "cpu_period": 20_000}}, 0.5),
        ({"extra_host_config": {"cpu_quota": 25_000}}, 0.25),
        ({"extra_host_config": {"cpu_quota": -1}}, 1.0),
        ({"cpu_quota": 50_000, "extra_host_config": {"cpu_quota": 10_000}}, 0.5),
    ],
)
def test_full_speed_is_one_processor_or_the_quota_if_that_is_less(
    settings: dict[str, Any], full: float
) -> None:
    assert DockerSpawner(**settings).full_cpu() == full


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"cpu_stats": None},
        {"cpu_stats": {"cpu_usage": {}}},
        {"cpu_stats": {"cpu_usage": {"total_usage": "much"}}},
        {"cpu_stats": {"cpu_usage": {"total_usage": 0}}},  # it does not run
    ],
)
def test_an_answer_without_a_number_is_not_known(told: object) -> None:
    assert seconds_in(told) is None


def test_an_engine_counts_nanoseconds() -> None:
    assert seconds_in({"cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}}}) == 2.5


CPU = {"cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}}}


@pytest.mark.parametrize(
    ("told", "memory"),
    [
        ({}, None),
        ({"memory_stats": {}}, None),
        ({"memory_stats": None}, None),
        ({"memory_stats": {"usage": "much"}}, None),
        ({"memory_stats": {"usage": 500}}, 500),
        ({"memory_stats": {"usage": 500, "stats": {"inactive_file": 100}}}, 400),
        ({"memory_stats": {"usage": 500, "stats": {"total_inactive_file": 600}}}, 0),
    ],
)
def test_memory_is_told_without_files_that_can_be_given_back(
    told: dict[str, Any], memory: int | None
) -> None:
    assert used_in(CPU | told) == Used(2.5, memory)
    assert used_in(told) is None


class Engine:
    """Answers in a thread, once as many ask as can at a time."""

    def __init__(self, together: int = 1) -> None:
        self.together = threading.Barrier(together)
        self.asked: list[str] = []

    def stats(self, server_id: str) -> object:
        self.asked.append(server_id)
        self.together.wait(timeout=20)
        if server_id.startswith("silent"):
            raise DockerException("no answer")
        used = 0 if server_id == "gone" else 1_500_000_000
        return {"cpu_stats": {"cpu_usage": {"total_usage": used}}}


class Spawner(CpuReadings):
    """Just the readings."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readers = Lane("test", READERS)

    def _options(self) -> Any:
        raise NotImplementedError

    def _ready(self) -> Any:
        return self._engine


async def told_of(engine: Engine, *server_ids: str) -> dict[str, float]:
    spawner = Spawner(engine)
    try:
        return dict(await spawner.cpu_seconds(server_ids))
    finally:
        spawner._readers.close()


@pytest.mark.gen_test(timeout=30)
async def test_as_many_are_asked_about_at_once_as_there_are_readers() -> None:
    servers = [f"s{number}" for number in range(READERS)]
    assert await told_of(Engine(READERS), *servers) == dict.fromkeys(servers, 1.5)


@pytest.mark.gen_test(timeout=30)
async def test_who_is_not_told_of_is_left_out() -> None:
    assert await told_of(Engine(), "a", "silent", "b", "gone") == {"a": 1.5, "b": 1.5}
    assert await told_of(Engine()) == {}


@pytest.mark.gen_test(timeout=30)
async def test_an_engine_that_tells_of_nobody_is_told_of() -> None:
    with pytest.raises(SpawnerError, match="no answer"):
        await told_of(Engine(), "silent1", "silent2")


@pytest.mark.gen_test(timeout=60)
async def test_who_does_not_answer_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "PATIENCE", 0.5)
    released = threading.Event()

    class Stuck(Engine):
        def stats(self, server_id: str) -> object:
            if server_id == "stuck":
                released.wait(20)
            return super().stats(server_id)

    told: dict[str, float] = {}
    try:
        with suppress(SpawnerError):  # on a slow machine nobody may have answered
            told = await told_of(Stuck(), "a", "stuck", "b")
    finally:
        released.set()
    assert "stuck" not in told
