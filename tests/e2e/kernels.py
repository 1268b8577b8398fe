"""Run code in a kernel over its websocket, as a notebook's page does."""

from __future__ import annotations

import json
import uuid

from tornado.websocket import WebSocketClientConnection


async def run(socket: WebSocketClientConnection, code: str) -> str:
    """Return what the code printed, up to the end of a line."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
    request = {
        "channel": "shell",
        "header": header | {"session": uuid.uuid4().hex, "username": ""},
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False},
    }
    await socket.write_message(json.dumps(request))
    printed = ""
    while not printed.endswith("\n"):
        said = await socket.read_message()
        assert said is not None, "the websocket was cut"
        message = json.loads(said)
        if message["msg_type"] == "error":
            raise AssertionError("\n".join(message["content"]["traceback"]))
        printed += message["content"]["text"] if message["msg_type"] == "stream" else ""
    return printed
