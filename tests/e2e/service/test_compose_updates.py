"""With Compose, visitors keep their notebooks while everything around them is made anew."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import docker
import pytest

from tests.e2e.faults.kernel import Kernel
from tests.e2e.faults.visitor import Visitor
from tests.e2e.installation import (
    FILTERED,
    ORCHESTRATOR_IMAGE,
    PROXY_IMAGE,
    Installation,
    installed,
)
from tests.support.engines.contract import wait_until
from tests.support.requirements import TEST_IMAGE
from tmpnb.errors import UnreachableError

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.gen_test(timeout=400)]

# Either command, and the filter with one of them; the other two take minutes to show no more.
KINDS = [
    pytest.param("command", [FILTERED], id="command-filtered"),
    pytest.param("plugin", [], id="plugin"),
]


@contextmanager
def next_version(engine: docker.APIClient, image: str) -> Iterator[str]:
    """Have another image that does the same, as after an update; return its name."""
    name = f"{image}-{secrets.token_hex(4)}"
    recipe = f"FROM {image}\nLABEL tmpnb.test.version=next\n".encode()
    for _ in engine.build(fileobj=BytesIO(recipe), tag=name, rm=True, forcerm=True):
        pass
    try:
        yield name
    finally:
        engine.remove_image(name, force=True)


class Working:
    """A visitor with a running kernel, in which there is the work of an hour."""

    def __init__(self, visitor: Visitor, kernel: Kernel) -> None:
        self._visitor, self._kernel = visitor, kernel

    @classmethod
    async def arriving(cls, installation: Installation) -> Working:
        base_url, token = await installation.take()
        visitor = Visitor(installation, f"{installation.url}{base_url}lab?token={token}")
        kernel = await Kernel.started(visitor)
        assert await kernel.says("work = 6 * 7; print(work)") == "42"
        return cls(visitor, kernel)

    async def goes_on(self) -> None:
        """Check that the kernel is spoken to by the connection that there is."""
        assert await self._kernel.says("print(work)") == "42"

    async def comes_back(self) -> None:
        """Check that a page that lost its connection finds the same kernel at the same address."""
        await wait_until(self._page_is_there, "the page is there")
        await self._kernel.again()
        await self.goes_on()

    def leave(self) -> None:
        self._kernel.close()

    async def _page_is_there(self) -> bool:
        with suppress(UnreachableError):
            return await self._visitor.is_back()
        return False


@pytest.mark.parametrize(("kind", "files"), KINDS)
async def test_visitors_keep_their_kernels_through_updates_and_down_ends_all(
    tmp_path: Path, kind: str, files: list[str]
) -> None:
    with installed(tmp_path, kind, files) as installation:
        engine = installation.engine
        await installation.until_stats(available=2)
        visitor = await Working.arriving(installation)
        with (
            next_version(engine, ORCHESTRATOR_IMAGE) as orchestrator,
            next_version(engine, PROXY_IMAGE) as proxy,
            next_version(engine, TEST_IMAGE) as notebook,
        ):
            before = installation.service("orchestrator"), installation.service("proxy")
            more = {"TMPNB_REGISTRIES": "docker.io"}  # so that the filter is made anew as well
            installation.change(TMPNB_POOL_SIZE="3", TMPNB_ORCHESTRATOR_IMAGE=orchestrator, **more)
            installation.compose("up", "--detach")
            await installation.until_stats(capacity=3, available=2, claimed=1)
            await visitor.goes_on()

            installation.change(TMPNB_PROXY_IMAGE=proxy, TMPNB_IMAGE=notebook)
            installation.compose("up", "--detach")
            await visitor.comes_back()
            await installation.until_stats(container_image=notebook, available=2, claimed=1)
            after = installation.service("orchestrator"), installation.service("proxy")
            assert not set(before) & set(after), "both were made anew"

            installation.compose("restart")
            await visitor.comes_back()
            installation.compose("down")
            assert len(installation.notebooks()) == 1, "the visitor's"
            installation.compose("up", "--detach")
            await visitor.comes_back()
            await installation.until_stats(available=2, claimed=1)
            visitor.leave()

            installation.script("down")
            volumes = ["state", "token", *(["engine"] if files else [])]
            assert sorted(installation.left()) == sorted(
                f"{installation.name}_{v}" for v in volumes
            )
            installation.script("down", "--volumes")
            assert installation.left() == []


async def test_visitors_keep_their_kernels_when_egress_changes_and_stay_apart(
    tmp_path: Path,
) -> None:
    with installed(tmp_path, "plugin") as installation:
        await installation.until_stats(available=2)
        apart = await Working.arriving(installation)
        installation.change(TMPNB_EGRESS="all", TMPNB_POOL_SIZE="3")
        installation.compose("up", "--detach", "--force-recreate")
        await apart.comes_back()
        await installation.until_stats(available=2, claimed=1)

        together = await Working.arriving(installation)
        of_before = {entry["Id"] for entry in installation.notebooks()}
        installation.change(TMPNB_EGRESS="none", TMPNB_POOL_SIZE="4")
        installation.compose("up", "--detach", "--force-recreate")
        for visitor in (apart, together):
            await visitor.comes_back()
        await installation.until_stats(available=2, claimed=2)
        label = f"tmpnb.pool={installation.name}"
        own = installation.engine.networks(filters={"label": label})
        assert len(own) == 3, "the first visitor's, and those of two that are ready"
        shared = [n["Name"] for n in own if _on(installation, n["Id"]) & of_before]
        assert len(shared) == 1, "no server of before is on the network of another"

        for visitor in (apart, together):
            visitor.leave()
        installation.script("down", "--volumes")
        assert installation.left() == []


def _on(installation: Installation, network: str) -> set[str]:
    found = installation.engine.containers(all=True, filters={"network": network})
    return {entry["Id"] for entry in found}
