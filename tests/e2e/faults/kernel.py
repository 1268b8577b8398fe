"""A visitor's kernel, spoken to through the proxy over its websocket."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.e2e.faults.visitor import Visitor

DEADLINE = 60.0  # seconds for an answer of the kernel


class Kernel:
    """One kernel of a visitor, and the connection to it."""

    def __init__(self, visitor: Visitor, kernel_id: str, socket: WebSocketClientConnection) -> None:
        self.id, self._visitor, self._socket = kernel_id, visitor, socket

    @classmethod
    async def started(cls, visitor: Visitor) -> Kernel:
        """Start one and connect to it."""
        return await cls.connected(visitor, await visitor.start_kernel())

    @classmethod
    async def connected(cls, visitor: Visitor, kernel_id: str) -> Kernel:
        """Connect to one that runs."""
        root = visitor.service.url.replace("http", "ws", 1)
        token = visitor.url.rpartition("token=")[2]
        path = f"user/{visitor.id}/api/kernels/{kernel_id}/channels?token={token}"
        return cls(visitor, kernel_id, await websocket_connect(f"{root}/{path}"))

    async def again(self) -> Kernel:
        """Connect anew, as a page does when its connection is lost."""
        self.close()
        self._socket = (await self.connected(self._visitor, self.id))._socket
        return self

    async def says(self, code: str, within: float = DEADLINE) -> str:
        """Run `code`, which must print; return what it prints, or raise TimeoutError."""
        message_id = uuid.uuid4().hex
        await self._socket.write_message(json.dumps(_execute(message_id, code)))
        async with asyncio.timeout(within):
            while True:
                text = await self._socket.read_message()
                assert text is not None, "the connection to the kernel is lost"
                message = json.loads(text)
                ours = message.get("parent_header", {}).get("msg_id") == message_id
                assert not (ours and message["msg_type"] == "error"), message["content"]
                if ours and message["msg_type"] == "stream":
                    return str(message["content"]["text"]).strip()

    async def until_lost(self) -> None:
        """Return once the connection has ended, as it does when the proxy dies."""
        async with asyncio.timeout(DEADLINE):
            while await self._socket.read_message() is not None:
                pass

    def close(self) -> None:
        """End the connection; the kernel goes on."""
        self._socket.close()


def _execute(message_id: str, code: str) -> dict[str, Any]:
    header = {
        "msg_id": message_id,
        "msg_type": "execute_request",
        "session": "s",
        "username": "",
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "allow_stdin": False}
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
    }
