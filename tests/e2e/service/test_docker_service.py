"""The whole service on the real engine, behind the real proxy, with real notebook servers."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running_service import PERSON, START, RunningProxy, Service, ask, serving, until_true
from tests.support.engines.docker import LABEL, RealEngine
from tmpnb.system.http.client import Client

pytestmark = [pytest.mark.docker, pytest.mark.chp, pytest.mark.gen_test(timeout=240)]


def pool_flags(engine: RealEngine, pool: str = "e2e", **flags: Any) -> list[str]:
    """Return flags of a pool whose containers carry this run's label."""
    settings = {
        "spawner": "docker",
        "image": "tmpnb-test/notebook",
        "pool-name": f"{pool}-{engine.run}",
        "pool-size": 2,
        "runtime": engine.runtime,
    } | {name.replace("_", "-"): value for name, value in flags.items()}
    label = f"--DockerSpawner.labels={LABEL}={engine.run}"
    return [*(f"--{name}={value}" for name, value in settings.items()), label]


def claimed(engine: RealEngine) -> list[dict[str, Any]]:
    return [c for c in engine.containers() if "-claimed-" in c["Name"]]


def ids(engine: RealEngine) -> set[str]:
    return {c["Config"]["Labels"]["tmpnb.server"] for c in engine.containers()}


async def test_claim_reaches_a_real_notebook_server_through_the_proxy(engine: RealEngine) -> None:
    async with serving(*pool_flags(engine)) as service:
        await service.until_ready(2)
        url = await service.take("/lab")
        page = await service.client.fetch(url, timeout=20)
        assert page.code == 200
        assert b"jupyter-config-data" in page.body
        without_token = await service.client.fetch(url.partition("?")[0], timeout=20)
        assert without_token.code == 302, "a notebook without its token is a login page"
        await until_true(lambda: len(claimed(engine)) == 1, "the engine knows the claim")
        stats = await service.stats()
        assert (stats["claimed"], stats["claims_total"]) == (1, 1)
    assert engine.containers() == []


async def test_pool_refills_after_a_claim_without_waiting_for_a_period(engine: RealEngine) -> None:
    flags = pool_flags(engine, pool_size=2, min_ready=1, reconcile_interval=3600)
    async with serving(*flags) as service:
        await service.until_ready(1)
        await service.take()
        await service.until(lambda s: s["claimed"] == s["available"] == 1, "refilled")


async def test_one_visitor_too_many_is_told_to_come_back(engine: RealEngine) -> None:
    async with serving(*pool_flags(engine, pool_size=2)) as service:
        await service.until_ready(2)
        answers = await asyncio.gather(*(service.fetch("/spawn", headers=PERSON) for _ in range(3)))
        assert sorted(a.code for a in answers) == [302, 302, 503]
        [refused] = [a for a in answers if a.code == 503]
        assert int(refused.headers["Retry-After"]) > 0
        assert len({a.headers["Location"] for a in answers if a.code == 302}) == 2
        api = await service.fetch("/api/spawn", method="POST")
        assert api.code == 429
        assert json.loads(api.body)["status"] == "full"


async def test_killed_container_is_never_handed_out_and_is_replaced(engine: RealEngine) -> None:
    async with serving(*pool_flags(engine, pool_size=2)) as service:
        await service.until_ready(2)
        victim, survivor = engine.containers()
        dead = victim["Config"]["Labels"]["tmpnb.server"]
        engine.client.kill(victim["Id"])
        url = await service.take("/lab")
        assert f"/user/{dead}/" not in url
        assert (await service.client.fetch(url, timeout=20)).code == 200
        # Until the next pass looks, a dead server that no claim has asked counts as ready.
        await until_true(lambda: dead not in ids(engine), "the dead one is removed")
        await service.until(lambda s: s["available"] == s["claimed"] == 1, "whole again")
        assert survivor["Config"]["Labels"]["tmpnb.server"] in ids(engine)


async def test_idle_server_is_culled_and_its_address_says_so(engine: RealEngine) -> None:
    flags = pool_flags(engine, pool_size=1, cull_timeout=2, cull_period=1)
    async with serving(*flags) as service:
        await service.until_ready(1)
        url = await service.take("/lab")
        user_path = "/".join(url.split("/")[3:5])
        await service.until(lambda s: s["available"] == 1 and not s["claimed"], "culled")
        ended = await service.fetch(f"/{user_path}/lab", headers=PERSON)
        assert ended.code == 404
        assert b"ended" in ended.body
        save = await service.fetch(f"/{user_path}/api/contents/x.ipynb", method="PUT", body="{}")
        assert save.code == 410
        assert json.loads(save.body)["error"]["code"] == "server_ended"


@pytest.mark.long
async def test_busy_kernel_without_a_tab_is_not_idle_until_cull_max(engine: RealEngine) -> None:
    flags = pool_flags(engine, pool_size=1, cull_timeout=8, cull_max=20, cull_period=1)
    async with serving(*flags) as service:
        await service.until_ready(1)
        url = await service.take("/lab")
        await run_silently_for_long(service.client, url)
        kernels = json.loads((await ask(service.client, url, "api/kernels")).body)
        assert kernels[0]["execution_state"] == "busy"
        begun = asyncio.get_running_loop().time()
        await service.until(lambda s: not s["claimed"], "ended by cull_max")
        assert "reason=too_old" in service.log.read_text()
        assert "reason=idle" not in service.log.read_text()
        assert asyncio.get_running_loop().time() > begun


async def run_silently_for_long(client: Client, url: str) -> None:
    """Start a kernel that computes without a word, and go away."""
    from tornado.websocket import websocket_connect

    root = "/".join(url.split("/")[:5])
    token = url.rpartition("token=")[2]
    headers = {"Authorization": f"token {token}"}
    made = await client.fetch(
        f"{root}/api/kernels", timeout=20, method="POST", headers=headers, body="{}"
    )
    kernel = json.loads(made.body)["id"]
    socket_url = f"{root.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels?token={token}"
    socket = await websocket_connect(socket_url)
    request: dict[str, Any] = {
        "header": {
            "msg_id": "compute-for-ever",
            "msg_type": "execute_request",
            "session": "s",
            "username": "",
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": "while True: pass", "silent": False},
        "channel": "shell",
    }
    await socket.write_message(json.dumps(request))
    while True:  # bounded by the test's own time limit
        message = json.loads(str(await socket.read_message()))
        ours = message.get("parent_header", {}).get("msg_id") == request["header"]["msg_id"]
        if ours and message.get("content", {}).get("execution_state") == "busy":
            break
    socket.close()


async def test_two_pools_and_strangers_on_one_engine_are_left_alone(engine: RealEngine) -> None:
    stranger = engine.client.create_container(
        "tmpnb-test/notebook",
        command=["sleep", "300"],
        name=f"tmpnb-e2e-{engine.run}-stranger",
        labels=engine.labels,
    )
    engine.client.start(stranger["Id"])
    async with (
        serving(*pool_flags(engine, "one")) as one,
        serving(*pool_flags(engine, "two")) as two,
    ):
        await one.until_ready(2)
        await two.until_ready(2)
        url = await one.take("/lab")
        assert await one.drain() == 1
        await one.until_ready(1)
        assert (await two.stats())["available"] == 2
        assert (await one.client.fetch(url, timeout=20)).code == 200
        assert engine.client.inspect_container(stranger["Id"])["State"]["Running"]


async def test_kill_9_and_restart_keep_visitors_and_clean_up_the_rest(
    engine: RealEngine, tmp_path: Path
) -> None:
    service = Service(*pool_flags(engine, pool_size=2), state_dir=tmp_path)
    await service.start()
    try:
        await service.until_ready(2)
        url = await service.take("/lab")
        before = ids(engine)
        await service.stop(signal.SIGKILL)
        await service.start()
        await service.until(lambda s: s["claimed"] == 1 and s["available"] == 1, "adopted")
        page = await service.client.fetch(url, timeout=20)
        assert page.code == 200, "the same URL and token open the same server"
        kept = url.split("/")[4]
        await until_true(lambda: ids(engine) & before == {kept}, "what nobody had is removed")
    finally:
        await service.stop()
        service.client.close()
    await until_true(lambda: ids(engine) == {kept}, "only the visitor's server is left")


async def test_foreign_route_stays_and_ours_comes_back_after_the_proxys_crash(
    engine: RealEngine, tmp_path: Path
) -> None:
    flags = pool_flags(engine, pool_size=1, reconcile_interval=0.5)
    service = Service(*flags, state_dir=tmp_path)
    proxy = RunningProxy(service.port)
    service.visitors = proxy.port
    service.add_environment(proxy.env)
    foreign = json.dumps({"target": "http://127.0.0.1:9"})
    await proxy.start()
    await proxy.api("POST", "/user/foreign", foreign)
    await service.start()
    try:
        await service.until_ready(1)
        url = await service.take("/lab")
        assert "/user/foreign" in await proxy.routes()
        await proxy.kill()
        await proxy.start()
        await proxy.api("POST", "/user/foreign", foreign)
        await service.until(lambda s: s["claimed"] == 1, "still claimed")
        our_path = "/".join(["", *url.split("/")[3:5]])
        async with asyncio.timeout(START):
            while our_path not in await proxy.routes():
                await asyncio.sleep(0.1)
        assert (await service.client.fetch(url, timeout=20)).code == 200
        assert "/user/foreign" in await proxy.routes()
    finally:
        await service.stop()
        service.client.close()
        await proxy.kill()
