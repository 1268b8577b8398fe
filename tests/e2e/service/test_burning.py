"""Notebooks that compute without end: they go when nobody is there, and stay while somebody is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.e2e.running_service import PERSON, START, Service, ask, serving

pytestmark = [pytest.mark.local, pytest.mark.chp, pytest.mark.gen_test(timeout=300)]

# Shorter than any operator may ask for, and satisfied with less than a whole processor, for
# other tests may have it. Whoever is there talks several times a second.
CONSTANTS = {
    "tmpnb.core.burning.ALONE": 2.0,
    "tmpnb.core.burning.APART": 1.0,
    "tmpnb.core.burning.FULL": 0.02,
    "tmpnb.settings.culling.SHORTEST": 1.0,
}
FLAGS = ("--spawner=local", "--pool-size=2", "--cull-period=1", "--cull-burning=20")


def request(kind: str, content: dict[str, Any]) -> str:
    header = {"msg_id": kind, "msg_type": kind, "session": "s", "username": ""}
    whole = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    return json.dumps(whole | {"channel": "shell"})


async def compute(service: Service, url: str) -> WebSocketClientConnection:
    """Let a kernel compute without end; return the websocket of the page that began it."""
    root, _, query = url.partition("?")
    root = "/".join(root.split("/")[:5])
    token = query.rpartition("token=")[2]
    made = await service.client.fetch(
        f"{root}/api/kernels",
        timeout=START,
        method="POST",
        headers={"Authorization": f"token {token}"},
        body="{}",
    )
    kernel = json.loads(made.body)["id"]
    channels = f"{root.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels?token={token}"
    socket = await websocket_connect(channels)
    code = {"code": "while True: pass", "silent": False}
    await socket.write_message(request("execute_request", code))
    while True:  # bounded by the test's own time limit
        message = json.loads(str(await socket.read_message()))
        ours = message.get("parent_header", {}).get("msg_id") == "execute_request"
        if ours and message.get("content", {}).get("execution_state") == "busy":
            return socket


async def talk(socket: WebSocketClientConnection) -> None:
    """Send something now and then, as a page does."""
    while True:  # until it is cancelled
        await socket.write_message(request("kernel_info_request", {}))
        await asyncio.sleep(0.2)


async def test_a_computation_ends_when_nobody_is_there_and_goes_on_while_somebody_is() -> None:
    async with serving(*FLAGS, constants=CONSTANTS) as service:
        await service.until_ready(2)
        watched, left = await service.take("/lab"), await service.take("/lab")
        socket = await compute(service, watched)
        talking = asyncio.create_task(talk(socket))
        try:
            (await compute(service, left)).close()
            await service.until(lambda s: s["claimed"] == 1, "one has ended")
        finally:
            talking.cancel()
        log = service.log.read_text()
        assert log.count("reason=burning") == 1

        ended = "/".join(left.partition("?")[0].split("/")[3:5])
        said = await service.fetch(f"/{ended}/lab", headers=PERSON)
        assert said.code == 404
        assert b"kept a processor busy for a long time with nobody there" in said.body
        kernels = json.loads((await ask(service.client, watched, "api/kernels")).body)
        assert [kernel["execution_state"] for kernel in kernels] == ["busy"]
        socket.close()
