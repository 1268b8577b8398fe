"""The log of the program with a real proxy: JSON on each line, and one line for a flood."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.running_service import Service, serving

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=120)]

FLOOD = 40
CLIENT = "203.0.113.7"
SECRET = "SECRET1b2c3d"


async def flooded(service: Service) -> list[str]:
    """Let one client ask again and again for a server that is none; return the whole log."""
    await service.until_ready(2)
    for number in range(FLOOD):
        path = f"/user/{'x' * 12}/api/contents/{number}%0A?token={SECRET}"
        await service.fetch(path, headers={"X-Forwarded-For": CLIENT})
    await service.stop()
    return service.log.read_text().splitlines()


async def test_with_json_each_line_is_an_object_and_a_flood_is_one_line_and_a_number() -> None:
    async with serving("--spawner=fake", "--pool-size=2", "--log-format=json") as service:
        lines = await flooded(service)
        told: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert all({"time", "level", "logger", "message"} <= one.keys() for one in told)
    assert SECRET not in "".join(lines)
    first, *sums = (one for one in told if one.get("client") == CLIENT)
    assert first["path"].startswith("/user/xxxxxxxxxxxx/api/contents/0")
    assert first["ms"] >= 0
    assert {one["status"] for one in sums} == {first["status"]}
    assert sum(one["more"] for one in sums) == FLOOD - 1
    assert len(sums) < 5, "one a minute"


async def test_text_has_the_year_in_full_and_the_zone() -> None:
    async with serving("--spawner=fake", "--pool-size=2") as service:
        lines = await flooded(service)
    ours = [line for line in lines if CLIENT in line]
    assert len(ours) < 6
    assert f"{CLIENT} … " not in ours[0]
    assert ours[-1].endswith(" more like it within 60 s")
    for line in lines:
        assert line.startswith(("[I 20", "[W 20")), line
        assert line[5:].partition(" ")[0].count(":") == 3, "hours, minutes, seconds, zone"
