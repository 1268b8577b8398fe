"""The kit in a Docker volume: filled once, found again, and never in a server's way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import docker
import pytest

from tests.support.docker_stand_in import Engine, StandIn
from tmpnb.spawners import kit
from tmpnb.spawners.docker.kit_volume import DIRECTORY, LABEL, KitVolume, Supply

IMAGE = "lesson"
NAME = f"tmpnb-kit-pool-{kit.version()}"


@pytest.fixture
def engine() -> Iterator[StandIn]:
    running = Engine()
    running.state.volumes = {}
    yield running.state
    running.close()


@pytest.fixture
def volume(engine: StandIn) -> Iterator[KitVolume]:
    client = docker.APIClient(engine.url, version="1.41", timeout=10)
    yield KitVolume(client, "pool", {"owner": "us"}, https=False)
    client.close()


def mounted(supply: Supply) -> list[tuple[str, str, bool]]:
    return [(m["Source"], m["Target"], m["ReadOnly"]) for m in supply.mounts]


def test_a_server_gets_the_volume_read_only_and_where_to_look(
    engine: StandIn, volume: KitVolume
) -> None:
    supply = volume.supply(IMAGE, {})
    assert mounted(supply) == [(NAME, DIRECTORY, True)]
    assert supply.environment == kit.environment(DIRECTORY, {}, https=False)
    assert engine.volumes == {NAME: {"owner": "us", LABEL: "pool"}}
    assert engine.copied == [kit.archive()]


def test_the_container_that_filled_it_was_never_started_and_is_gone(
    engine: StandIn, volume: KitVolume
) -> None:
    volume.supply(IMAGE, {})
    assert engine.requests("/start") == []
    assert engine.containers == {}
    assert [body["Labels"] for body in engine.bodies] == [{"owner": "us", LABEL: "pool"}]


def test_it_is_filled_once_however_many_start_at_once(engine: StandIn, volume: KitVolume) -> None:
    together = threading.Barrier(4)

    def start(_: int) -> Supply:
        together.wait(timeout=10)
        return volume.supply(IMAGE, {})

    with ThreadPoolExecutor(4) as threads:
        supplies = list(threads.map(start, range(4)))
    assert [mounted(supply) for supply in supplies] == [[(NAME, DIRECTORY, True)]] * 4
    assert len(engine.copied) == 1


def test_a_later_start_costs_two_short_questions(engine: StandIn, volume: KitVolume) -> None:
    volume.supply(IMAGE, {})
    engine.asked.clear()
    volume.supply(IMAGE, {})
    assert [asked.split("?")[0].split("/v1.41")[1] for asked in engine.asked] == [
        f"/volumes/{NAME}",
        f"/images/{IMAGE}/json",
    ]


def test_a_volume_that_somebody_removed_is_filled_again(engine: StandIn, volume: KitVolume) -> None:
    volume.supply(IMAGE, {})
    assert engine.volumes is not None
    engine.volumes.clear()
    volume.supply(IMAGE, {})
    assert len(engine.copied) == 2


def test_what_a_killed_run_left_is_in_nobodys_way(engine: StandIn, volume: KitVolume) -> None:
    engine.add(NAME, {LABEL: "pool"}, state="created")
    engine.containers[NAME] = engine.containers.popitem()[1]  # the engine takes names for ids
    assert mounted(volume.supply(IMAGE, {}))
    assert engine.containers == {}


def test_what_image_and_operator_have_set_comes_first(engine: StandIn, volume: KitVolume) -> None:
    engine.image_environment = ["JUPYTER_PATH=/image", "JUPYTER_CONFIG_PATH=/conf=1", "ODD"]
    supply = volume.supply(IMAGE, {"JUPYTER_PATH": "/operator"})
    assert supply.environment == {
        "JUPYTER_PATH": f"/operator:{DIRECTORY}/share",
        "JUPYTER_CONFIG_PATH": f"/conf=1:{DIRECTORY}/config:{DIRECTORY}/look:{DIRECTORY}/use",
    }


def test_whose_scripts_may_ask_is_told_to_every_server(engine: StandIn) -> None:
    client = docker.APIClient(engine.url, version="1.41", timeout=10)
    volume = KitVolume(client, "pool", {}, https=True, origins="https://a")
    assert volume.supply(IMAGE, {}).environment == kit.environment(
        DIRECTORY, {}, https=True, origins="https://a"
    )
    client.close()


@pytest.mark.parametrize(
    "pattern",
    ["POST /volumes/create", "PUT /containers/.*", "POST /containers/create", "GET /images/.*"],
)
def test_an_engine_that_refuses_it_costs_one_warning_and_no_server(
    engine: StandIn, volume: KitVolume, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refuse(pattern, 403, "policy says no")
    with caplog.at_level(logging.WARNING):
        assert [volume.supply(IMAGE, {}) for _ in range(3)] == [Supply()] * 3
    [record] = caplog.records
    assert "policy says no" in record.getMessage()
    assert engine.containers == {}


def test_it_is_tried_again_after_a_refusal(engine: StandIn, volume: KitVolume) -> None:
    engine.refuse("PUT /containers/.*", 500, "busy", times=1)
    assert volume.supply(IMAGE, {}) == Supply()
    assert mounted(volume.supply(IMAGE, {}))


def test_at_the_end_volumes_go_that_no_server_uses(engine: StandIn, volume: KitVolume) -> None:
    volume.supply(IMAGE, {})
    assert engine.volumes is not None
    engine.volumes |= {
        "tmpnb-kit-pool-old": {LABEL: "pool"},
        "tmpnb-kit-pool-used": {LABEL: "pool"},
        "tmpnb-kit-other": {LABEL: "other"},
    }
    engine.in_use.add("tmpnb-kit-pool-used")
    volume.remove()
    assert set(engine.volumes) == {"tmpnb-kit-pool-used", "tmpnb-kit-other"}


def test_an_engine_that_is_away_at_the_end_is_no_error(engine: StandIn, volume: KitVolume) -> None:
    engine.refuse("GET /volumes", 500, "no")
    volume.remove()
    assert engine.requests("GET .*/volumes")
