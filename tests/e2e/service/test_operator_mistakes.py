"""An operator's mistakes against the real parts: one line, exit code 1, nothing left running."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from tests.e2e.running_service import START, RunningProxy, Service
from tmpnb.system.process import marked

pytestmark = [pytest.mark.chp, pytest.mark.gen_test(timeout=240)]

ABSENT_IMAGE = "127.0.0.1:1/absent:1"  # of a registry that nobody runs


async def said_at_exit(service: Service) -> str:
    """Run the program, which must end by itself with exit code 1; return its last line."""
    await service.start()
    assert service.process is not None
    assert await asyncio.wait_for(service.process.wait(), START) == 1, service.tail()
    service.client.close()
    text = service.log.read_text()
    assert "Traceback" not in text
    assert "never awaited" not in text
    assert not marked(f"TMPNB_PROXY_DIR={service.state_dir}"), "its proxy ended with it"
    return text.splitlines()[-1]


async def test_no_engine_says_what_to_do(tmp_path: Path) -> None:
    env = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    line = await said_at_exit(Service("--spawner=docker", state_dir=tmp_path, env=env))
    assert line.startswith("tmpnb: cannot reach Docker at unix://")
    assert "--spawner=local" in line


@pytest.mark.docker
async def test_missing_image_says_what_to_do(tmp_path: Path) -> None:
    flags = ("--spawner=docker", f"--image={ABSENT_IMAGE}")
    line = await said_at_exit(Service(*flags, state_dir=tmp_path))
    assert line.startswith(f"tmpnb: --image={ABSENT_IMAGE}")
    assert "docker pull" in line


async def test_wrong_token_at_the_proxy_says_which_variable(tmp_path: Path) -> None:
    service = Service("--spawner=fake", state_dir=tmp_path)
    proxy = RunningProxy(service.port)
    await proxy.start()
    try:
        service.add_environment(proxy.env | {"CONFIGPROXY_AUTH_TOKEN": "wrong-wrong-wrong"})
        line = await said_at_exit(service)
        assert "CONFIGPROXY_AUTH_TOKEN" in line
        assert "wrong-wrong" not in service.log.read_text()
    finally:
        await proxy.kill()


async def test_proxy_port_in_use_names_the_flag(tmp_path: Path) -> None:
    service = Service("--spawner=fake", state_dir=tmp_path)
    with socket.create_server(("127.0.0.1", service.visitors)):
        line = await said_at_exit(service)
    assert f"--proxy-port={service.visitors} is in use" in line


async def test_second_orchestrator_on_one_state_directory_is_refused(tmp_path: Path) -> None:
    first = Service("--spawner=fake", "--pool-size=1", state_dir=tmp_path)
    await first.start()
    try:
        await first.until_ready(1)
        second = Service("--spawner=fake", "--pool-size=1", state_dir=tmp_path)
        second.log = tmp_path / "second.log"
        await second.start()
        assert second.process is not None
        assert await asyncio.wait_for(second.process.wait(), START) == 1
        assert "another tmpnb (process" in second.log.read_text().splitlines()[-1]
        second.client.close()
        assert (await first.stats())["available"] == 1
    finally:
        await first.stop()
        first.client.close()


async def test_proxy_that_comes_up_later_is_waited_for(tmp_path: Path) -> None:
    service = Service("--spawner=fake", "--reconcile-interval=0.3", state_dir=tmp_path)
    proxy = RunningProxy(service.port)
    service.visitors = proxy.port
    service.add_environment(proxy.env)
    await service.start()
    try:
        async with asyncio.timeout(START):
            while "does not answer" not in service.tail():
                await asyncio.sleep(0.05)
        await proxy.start()
        await service.until_ready(10)
        health = json.loads((await service.fetch("/health")).body)
        assert health["status"] == "ok"
    finally:
        await service.stop()
        service.client.close()
        await proxy.kill()
