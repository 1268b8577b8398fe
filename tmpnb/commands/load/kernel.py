"""A kernel as a notebook page uses it: one session, one websocket, one cell after the other."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from tmpnb.commands.load.doors import Place, told_in
from tmpnb.commands.load.notebook import Output
from tmpnb.commands.load.session import BROWSER, JSON, Session, must
from tmpnb.errors import VisitError

PROTOCOL = "5.3"  # of Jupyter's messages
LARGEST = 64 * 1024 * 1024  # bytes of a message
OUTPUTS = ("stream", "display_data", "execute_result", "error")


@dataclass(slots=True)
class Execution:
    """What came of one cell so far."""

    request: str  # id of the message that asked for it
    outputs: list[Output] = field(default_factory=list)
    error: str = ""  # the name of an exception
    replied: bool = False
    idle: bool = False

    def hear(self, message: dict[str, Any]) -> bool:
        """Take a message of the kernel; return whether the cell has ended."""
        if (message.get("parent_header") or {}).get("msg_id") == self.request:
            kind, content = message.get("msg_type"), dict(message.get("content") or {})
            self.replied |= kind in ("execute_reply", "kernel_info_reply")
            self.idle |= kind == "status" and content.get("execution_state") == "idle"
            if kind == "error":
                self.error = str(content.get("ename") or "an error")
            if kind in OUTPUTS:
                content.pop("transient", None)
                self.outputs.append({"output_type": kind} | content)
        return self.replied and self.idle


class Kernel:
    """A running kernel."""

    def __init__(
        self, session: Session, place: Place, session_id: str, socket: WebSocketClientConnection
    ) -> None:
        self._session, self._place = session, place
        self._session_id, self._socket = session_id, socket
        self._name = uuid.uuid4().hex  # of this end, in messages

    @classmethod
    async def start(cls, session: Session, place: Place, path: str, name: str) -> Kernel:
        """Start a kernel for a notebook and wait until it answers.

        Args:
            session: The visitor's.
            place: The visitor's server.
            path: Of the notebook on the server.
            name: Of the kernel; empty for the server's default.

        Raises:
            VisitError: It did not start.
        """
        kernel = {"name": name} if name else {}
        asked = {"path": path, "name": path, "type": "notebook", "kernel": kernel}
        answer = await session.ask(
            f"{place.root}api/sessions",
            method="POST",
            headers={**place.headers, **JSON},
            body=json.dumps(asked),
        )
        made = told_in(must(answer, 200, 201))
        kernel_id = (made.get("kernel") or {}).get("id")
        if not kernel_id:
            raise VisitError("the server answered without a kernel")
        address = f"{place.root}api/kernels/{kernel_id}/channels"
        socket = await _connected(session, place, f"{address}?session_id={uuid.uuid4().hex}")
        started = cls(session, place, str(made.get("id")), socket)
        await started._do("kernel_info_request", {})
        return started

    async def run(self, code: str) -> Execution:
        """Run a cell; return once it has ended, well or not.

        Raises:
            VisitError: The connection was lost.
        """
        asked = {"code": code, "silent": False, "store_history": True}
        return await self._do("execute_request", asked | {"allow_stdin": False})

    async def end(self) -> None:
        """End the kernel.

        Raises:
            VisitError: It was refused.
        """
        self._socket.close()
        url = f"{self._place.root}api/sessions/{quote(self._session_id)}"
        answer = await self._session.ask(url, method="DELETE", headers=self._place.headers)
        must(answer, 204, 404)

    def disconnect(self) -> None:
        """Close the websocket; the kernel lives on."""
        self._socket.close()

    async def _do(self, kind: str, content: dict[str, object]) -> Execution:
        request = uuid.uuid4().hex
        header = {"msg_id": request, "msg_type": kind, "session": self._name}
        message = {
            "channel": "shell",
            "header": header | {"username": "visitor", "version": PROTOCOL},
            "parent_header": {},
            "metadata": {},
            "content": content,
        }
        execution = Execution(request)
        try:
            await self._socket.write_message(json.dumps(message))
        except (WebSocketClosedError, StreamClosedError) as error:
            raise VisitError("the kernel's connection was closed") from error
        while True:
            heard = await self._socket.read_message()
            if heard is None:
                raise VisitError("the kernel's connection was closed")
            if any(execution.hear(message) for message in _messages(heard)):
                return execution


async def _connected(session: Session, place: Place, url: str) -> WebSocketClientConnection:
    headers = {**BROWSER, **place.headers}
    if cookie := session.cookies.header(url):
        headers["Cookie"] = cookie
    request = HTTPRequest(
        url.replace("http", "ws", 1),
        headers=headers,
        connect_timeout=session.patience,
        request_timeout=session.patience,
    )
    try:
        return await websocket_connect(request, max_message_size=LARGEST)
    except HTTPClientError as error:
        raise VisitError(f"websocket HTTP {error.code}") from error
    except (OSError, StreamClosedError) as error:
        raise VisitError("the websocket did not open") from error


def _messages(heard: str | bytes) -> Iterator[dict[str, Any]]:
    """Yield the message in a frame; one with attachments in bytes has nothing for us.

    Raises:
        VisitError: It is none.
    """
    if not isinstance(heard, str):
        return
    try:
        message = json.loads(heard)
    except ValueError as error:
        raise VisitError("the kernel sent what is no message") from error
    if isinstance(message, dict):
        yield message
