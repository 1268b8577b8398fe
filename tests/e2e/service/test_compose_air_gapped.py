"""With Compose, a machine without a network needs nothing but images that were saved elsewhere."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.faults.kernel import Kernel
from tests.e2e.faults.own_engine import OwnEngine
from tests.e2e.faults.visitor import Visitor
from tests.e2e.installation import (
    COMPOSERS,
    FILTER_IMAGE,
    FILTERED,
    FIRST,
    ORCHESTRATOR_IMAGE,
    PROXY_IMAGE,
    Installation,
)
from tests.support.engines.docker import RealEngine
from tests.support.requirements import TEST_IMAGE, missing

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.gen_test(timeout=400)]

IMAGES = (PROXY_IMAGE, ORCHESTRATOR_IMAGE, FILTER_IMAGE, TEST_IMAGE)
TRANSFER = 300.0  # seconds to save the images, or to load them
# The engine of this machine is at another place than that of a whole machine of its own.
OVERRIDE = """\
services:
  engine-filter: {{ volumes: ["{socket}:/var/run/docker.sock"] }}
"""


class EmptyEngine(OwnEngine):
    """An engine without images, in a network that leads nowhere."""

    def prepare(self) -> bool:
        """Begin with nothing, and fetch nothing."""
        self._data.mkdir()
        return True


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return a file with the images of the machine's engine."""
    real = RealEngine.needed(missing)
    for image in IMAGES:
        if not real.client.images(image):
            missing(f"the image {image}: make images")
    real.client.close()
    file = tmp_path / "tmpnb.tar"
    _docker("save", "--output", str(file), *IMAGES)
    return file


@pytest.fixture
def elsewhere() -> Iterator[EmptyEngine]:
    made = EmptyEngine.running()
    assert made.client.images() == []
    yield made
    made.close()


async def test_saved_images_are_all_that_a_machine_without_a_network_needs(
    tmp_path: Path, saved: Path, elsewhere: EmptyEngine
) -> None:
    _docker(f"--host={elsewhere.host}", "load", "--input", str(saved))
    place = tmp_path / "installation"
    place.mkdir()
    override = place / "engine.yml"
    override.write_text(OVERRIDE.format(socket=elsewhere.host.removeprefix("unix://")))
    composer = COMPOSERS["command"](place, DOCKER_HOST=elsewhere.host)
    files = [FIRST, FILTERED, str(override)]
    with elsewhere.network.inside():
        running = Installation(composer, files, elsewhere.client, place / ".env")
        try:
            running.compose("up", "--detach")
            await running.until_stats(available=2)
            base_url, token = await running.take()
            visitor = Visitor(running, f"{running.url}{base_url}lab?token={token}")
            kernel = await Kernel.started(visitor)
            assert await kernel.says("print(6 * 7)") == "42"
            kernel.close()
        finally:
            running.remove()


def _docker(*words: str) -> None:
    command = ["docker", *words]
    subprocess.run(command, check=True, capture_output=True, timeout=TRANSFER)  # noqa: S603 - our own
