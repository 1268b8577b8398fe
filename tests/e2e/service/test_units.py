"""The units of systemd in `deploy/`: systemd takes them, and a restart cuts no visitor off."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tornado.websocket import websocket_connect

from tests.e2e import kernels
from tests.e2e.running_service import Service, ask
from tests.e2e.service.units import SOCKET, Machine, Unit, entries
from tests.support.engines.docker import RealEngine
from tests.support.requirements import ROOT, TEST_IMAGE, chp, missing

NAMES = ("tmpnb-proxy", "tmpnb")
MOST = 20  # tenths of what systemd calls exposure, of 100


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze: apt-get install systemd")
    return subprocess.run(  # noqa: S603 - our own words
        ["systemd-analyze", *words],  # noqa: S607 - found as everybody finds it
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def as_installed(tmp_path: Path) -> Path:
    """Return a folder with the units, where the program they run is there."""
    for name in NAMES:
        text = (ROOT / "deploy" / f"{name}.service").read_text()
        (tmp_path / f"{name}.service").write_text(text.replace("/opt/tmpnb/bin/tmpnb", "/bin/true"))
    return tmp_path


def test_systemd_takes_both_without_a_word(as_installed: Path) -> None:
    done = analyze("verify", *(str(as_installed / f"{name}.service") for name in NAMES))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_little_of_the_machine_is_exposed(name: str, as_installed: Path) -> None:
    path = str(as_installed / f"{name}.service")
    done = analyze("security", "--offline=yes", f"--threshold={MOST}", "--no-pager", path)
    assert done.returncode == 0, done.stdout


def test_a_restart_ends_the_orchestrator_alone() -> None:
    """What else it has started belongs to visitors, and it ends that itself."""
    assert entries("tmpnb")["KillMode"] == ["process"]
    assert "PartOf=" not in (ROOT / "deploy" / "tmpnb-proxy.service").read_text()


def test_both_have_the_same_token_and_settings() -> None:
    both = [entries(name) for name in NAMES]
    for key in ("LoadCredential", "LimitNOFILE"):
        assert both[0][key] == both[1][key] != []
    assert "Environment" in both[0]
    assert set(both[0]["Environment"]) <= set(both[1]["Environment"])
    assert all("--config=/etc/tmpnb/tmpnb_config.py" in unit["ExecStart"][0] for unit in both)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Return one with a short name, as sockets in it have a limit."""
    made = Machine(Path(tempfile.mkdtemp(prefix="unit-")))
    yield made
    shutil.rmtree(made.root)


@asynccontextmanager
async def started(machine: Machine) -> AsyncIterator[dict[str, Unit]]:
    units = {name: Unit(machine, name) for name in NAMES}
    try:
        for unit in units.values():
            await unit.start()
        yield units
    finally:
        for unit in units.values():
            await unit.stop()


@pytest.mark.docker
@pytest.mark.chp
@pytest.mark.gen_test(timeout=240)
async def test_a_restart_of_the_orchestrator_cuts_no_websocket(
    machine: Machine, engine: RealEngine
) -> None:
    if os.geteuid() != 0 or not SOCKET.exists():
        missing("root, and Docker at its usual socket")
    service = Service(state_dir=machine.root)  # to ask by; the units are the program
    machine.prepare(f"""
c.Tmpnb.proxy_command = {chp()!r}
c.Tmpnb.proxy_port = {service.visitors}
c.Tmpnb.proxy_api_port = 8001
c.Tmpnb.port = {service.port}
c.Tmpnb.admin_port = {service.admin_port}
c.Tmpnb.pool_size = 2
c.Tmpnb.pool_name = "units-{engine.run}"
c.Tmpnb.reconcile_interval = 1
c.DockerSpawner.image = {TEST_IMAGE!r}
c.DockerSpawner.labels = {engine.labels!r}
""")
    async with started(machine) as units:
        service.process = units["tmpnb"].process
        await service.until_ready(2)
        url = await service.take("/lab")
        answer = await ask(service.client, url, "api/kernels", method="POST", body="{}")
        root, _, token = url.partition("/lab")[0], *url.rpartition("token=")[1:]
        channels = f"{root}/api/kernels/{json.loads(answer.body)['id']}/channels?token={token}"
        socket = await websocket_connect(channels.replace("http", "ws", 1))
        assert await kernels.run(socket, "x = 41; print(x)") == "41\n"

        assert await units["tmpnb"].stop() == 0, units["tmpnb"].said()
        assert await kernels.run(socket, "x += 1; print(x)") == "42\n"
        await units["tmpnb"].start()
        service.process = units["tmpnb"].process
        await service.until(lambda s: (s["claimed"], s["available"]) == (1, 1), "taken over")
        assert await kernels.run(socket, "print(x)") == "42\n"
        socket.close()
        assert (await service.client.fetch(url, timeout=20)).code == 200
    service.client.close()
