"""What a container may use at most, and what the engine says it has used."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from tmpnb.errors import SpawnerError
from tmpnb.spawners.docker import DockerSpawner
from tmpnb.spawners.docker_cpu import ASKED_AT_ONCE, CpuReadings, seconds_in


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


class Slow(CpuReadings):
    """Answers when told to, and keeps how many questions were open at once."""

    def __init__(self) -> None:
        self.open = self.most = 0

    def _options(self) -> Any:
        raise NotImplementedError

    def _ready(self) -> Any:
        return self

    async def _quickly(self, what: str, job: object) -> float | None:
        del job
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        if what.endswith("silent"):
            raise SpawnerError("no answer")
        return None if what.endswith("gone") else 1.5


async def told_of(spawner: Slow, server_ids: Collection[str]) -> dict[str, float]:
    return dict(await spawner.cpu_seconds(server_ids))


@pytest.mark.gen_test
async def test_few_are_asked_about_at_once_and_who_is_not_told_of_is_left_out() -> None:
    spawner = Slow()
    told = await told_of(spawner, ["a", "silent", "b", "gone", "c"])
    assert told == {"a": 1.5, "b": 1.5, "c": 1.5}
    assert spawner.most == ASKED_AT_ONCE


@pytest.mark.gen_test
async def test_an_engine_that_tells_of_nobody_is_told_of() -> None:
    with pytest.raises(SpawnerError, match="no answer"):
        await told_of(Slow(), ["silent", "silent"])
    assert await told_of(Slow(), ["gone", "silent"]) == {}
    assert await told_of(Slow(), []) == {}
