"""With Compose, the orchestrator's image is built with what `.env` says."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from tests.e2e.installation import COMPOSERS, FIRST, PROXY_IMAGE, Installation
from tests.support.engines.docker import RealEngine
from tests.support.requirements import missing

pytestmark = pytest.mark.docker

# In place of the project's own, which would need a registry: it only says what it was told.
DOCKERFILE = """\
ARG BASE_IMAGE=scratch
FROM $BASE_IMAGE
ARG BASE_IMAGE
ARG PIP_INDEX_URL
ARG PIP_CERT
ARG HTTP_PROXY
LABEL told="base=$BASE_IMAGE index=$PIP_INDEX_URL cert=$PIP_CERT proxy=$HTTP_PROXY"
"""
OVERRIDE = "services: {{ orchestrator: {{ build: {{ context: '{}' }} }} }}\n"


@pytest.fixture
def engine() -> Iterator[docker.APIClient]:
    real = RealEngine.needed(missing)
    yield real.client
    real.client.close()


@pytest.mark.parametrize("kind", ["command", "plugin"])
def test_build_arguments_come_from_the_settings(
    tmp_path: Path, engine: docker.APIClient, kind: str
) -> None:
    recipe, place = tmp_path / "recipe", tmp_path / "installation"
    for directory in (recipe, place):
        directory.mkdir()
    (recipe / "Dockerfile").write_text(DOCKERFILE)
    (place / "build.yml").write_text(OVERRIDE.format(recipe))
    image = f"tmpnb-test/told-{secrets.token_hex(4)}"
    files = [FIRST, str(place / "build.yml")]
    settings = {"TMPNB_ORCHESTRATOR_IMAGE": image, "BASE_IMAGE": PROXY_IMAGE}
    installation = Installation(COMPOSERS[kind](place), files, engine, place / ".env", **settings)
    try:
        installation.compose("build", "orchestrator")
        assert _told(engine, image) == f"base={PROXY_IMAGE} index= cert= proxy="
        index, proxy = "https://packages.example/python", "http://proxy.example:3128"
        installation.change(PIP_INDEX_URL=index, HTTP_PROXY=proxy)
        installation.compose("build", "orchestrator")
        assert _told(engine, image) == f"base={PROXY_IMAGE} index={index} cert= proxy={proxy}"
    finally:
        installation.client.close()
        with suppress(ImageNotFound):
            engine.remove_image(image, force=True)


def _told(engine: docker.APIClient, image: str) -> str:
    return str(engine.inspect_image(image)["Config"]["Labels"]["told"])
