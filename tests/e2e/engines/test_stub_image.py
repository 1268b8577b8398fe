"""The tiny image that stands for a notebook server where there are many of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.e2e.measure.benchmark import STUB_IMAGE, needs_stub
from tests.support.engines.contract import wait_until_it_answers
from tests.support.engines.docker import LABEL, RealEngine
from tests.support.requirements import missing
from tmpnb.orchestrator.culling import activity
from tmpnb.system.http.client import Client

pytestmark = [pytest.mark.docker, pytest.mark.gen_test(timeout=60)]

TOKEN = "a-token-for-tests-only"
WITH_TOKEN = {"Authorization": f"token {TOKEN}"}
COMMAND = "jupyter lab --no-browser --ip=0.0.0.0 --port=9000 --ServerApp.base_url=/user/ab/"
FINAL_TEXT, FINAL_PING, FINAL_PONG, FIRST_TEXT, LAST_PART = 0x81, 0x89, 0x8A, 0x01, 0x80


@pytest.fixture
def url(io_loop: IOLoop, client: Client) -> Iterator[str]:
    """Return the address of a stub that was started with a command for Jupyter."""
    needs_stub()
    engine = RealEngine.needed(missing)
    try:
        made = engine.client.create_container(
            STUB_IMAGE,
            COMMAND.split(),
            ports=[9000],
            environment={"JUPYTER_TOKEN": TOKEN},
            labels={LABEL: engine.run},
            host_config=engine.client.create_host_config(port_bindings={9000: ("127.0.0.1",)}),
        )
        engine.client.start(made["Id"])
        port = engine.client.port(made["Id"], 9000)[0]["HostPort"]
        found = f"http://127.0.0.1:{port}/user/ab/"
        io_loop.run_sync(lambda: wait_until_it_answers(client, f"{found}api"), timeout=30)
        yield found
    finally:
        engine.remove_all()


async def websocket(url: str, headers: dict[str, str]) -> WebSocketClientConnection:
    address = url.replace("http://", "ws://") + "api/kernels/any/channels"
    return await websocket_connect(HTTPRequest(address, headers=headers))


async def test_only_who_knows_the_token_gets_more_than_a_sign_of_life(
    client: Client, url: str
) -> None:
    async def code(path: str, headers: dict[str, str] | None = None) -> int:
        return (await client.fetch(f"{url}{path}", timeout=10, headers=headers)).code

    assert await code("api") == 200
    assert await code("api/status") == await code("lab") == await code("lab?token=wrong") == 403
    assert await code("api/status", WITH_TOKEN) == await code(f"lab?x=1&token={TOKEN}") == 200
    with pytest.raises(HTTPClientError, match="403"):
        await websocket(url, {})


async def test_messages_come_back_and_count_as_use(client: Client, url: str) -> None:
    kernels = await client.fetch(f"{url}api/kernels", timeout=10, headers=WITH_TOKEN)
    assert json.loads(kernels.body) == []
    opened = await websocket(url, WITH_TOKEN)
    for message in ("hello", "é" * 60, "x" * 16_000, b"\0\xff"):
        await opened.write_message(message, binary=isinstance(message, bytes))
        assert await opened.read_message() == message
    kernels = await client.fetch(f"{url}api/kernels", timeout=10, headers=WITH_TOKEN)
    assert [k["connections"] for k in json.loads(kernels.body)] == [1]
    now = time.time()
    used = (await activity.ask_for_use(client, url, TOKEN, now=now, max_idle=60)).last_use
    assert used is not None
    assert used <= now < used + 30
    opened.close()


async def test_a_message_too_large_ends_its_websocket(url: str) -> None:
    opened = await websocket(url, WITH_TOKEN)
    await opened.write_message("x" * 20_000)
    assert await opened.read_message() is None
    assert opened.close_code == 1009
    opened.close()


async def test_pings_are_answered_and_parts_of_a_message_come_back_as_parts(url: str) -> None:
    host, _, path = url.removeprefix("http://").partition("/")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(
        f"GET /{path}ws?token={TOKEN} HTTP/1.1\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    writer.write(frame(FIRST_TEXT, b"ab") + frame(FINAL_PING, b"?") + frame(LAST_PART, b"cd"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
    parts = bytes([FIRST_TEXT, 2]) + b"ab" + bytes([FINAL_PONG, 1]) + b"?"
    assert await reader.readexactly(11) == parts + bytes([LAST_PART, 2]) + b"cd"
    writer.write(bytes([FINAL_TEXT, 1]) + b"x")  # not masked, which no client may do
    assert await reader.read() == b"\x88\x02\x03\xea"
    writer.close()
    await writer.wait_closed()


def frame(first: int, payload: bytes, mask: bytes = b"\1\2\3\4") -> bytes:
    """Return a frame as clients send it."""
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([first, 0x80 | len(payload)]) + mask + masked
