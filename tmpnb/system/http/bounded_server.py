"""A server with so many connections and no more: who does not end a request makes place."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream

from tmpnb.system.http.unfinished import Unfinished

TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

Whose = Callable[[str, str], str | None]


def nobodys(peer: str, forwarded: str) -> None:
    """Tell no client apart."""


class BoundedServer(HTTPServer):
    """A server whose connections are bounded in number.

    When it has as many as it may, the one that has been awaiting a request for longest makes
    place for the newcomer. One whose request is whole is never ended: if all are being answered,
    the newcomer is hung up on.
    """

    def initialize(  # type: ignore[override]  # made by `listen.server` alone
        self, *args: Any, most: int, most_unfinished: int, whose: Whose, **options: Any
    ) -> None:
        """Take the bounds.

        Args:
            args: As HTTPServer takes them.
            most: Connections at once.
            most_unfinished: Requests of one client that are awaited at once.
            whose: Returns the client of a connection from the address of its other end and
                `X-Forwarded-For`; None for one without a bound.
            options: As HTTPServer takes them.
        """
        super().initialize(*args, **options)
        self.most, self._whose = most, whose
        self._unfinished = Unfinished[_Awaited](most_unfinished)
        self._awaited: dict[object, _Awaited] = {}

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a connection, or end it."""
        if len(self._connections) >= self.most:
            oldest = self._unfinished.oldest(_Awaited.is_silent)
            if oldest is None:
                stream.close()
                return
            self._give_up(oldest)
        super().handle_stream(stream, address)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Await a request on a connection: its first, or the next one."""
        connection = cast(HTTP1Connection, request_conn)
        delegate = super().start_request(server_conn, request_conn)
        awaited = _Awaited(delegate, connection, self._begun, self._unfinished.end)
        former = self._awaited.get(server_conn)
        if former is not None:
            self._unfinished.end(former)
        self._awaited[server_conn] = awaited
        self._end_surplus(self._unfinished.begin(awaited, self._whose(awaited.peer, "")))
        return awaited

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        awaited = self._awaited.pop(server_conn, None)
        if awaited is not None:
            self._unfinished.end(awaited)
        super().on_close(server_conn)

    def _begun(self, awaited: _Awaited, headers: HTTPHeaders) -> None:
        client = self._whose(awaited.peer, headers.get("X-Forwarded-For", ""))
        self._end_surplus(self._unfinished.belongs(awaited, client))

    def _end_surplus(self, awaited: _Awaited | None) -> None:
        if awaited is not None:
            self._give_up(awaited)

    def _give_up(self, awaited: _Awaited) -> None:
        self._unfinished.end(awaited)
        awaited.give_up()


class _Awaited(HTTPMessageDelegate):
    """A request that is awaited on a connection, and then handed on to who answers it."""

    def __init__(
        self,
        delegate: HTTPMessageDelegate,
        connection: HTTP1Connection,
        on_begun: Callable[[_Awaited, HTTPHeaders], None],
        on_whole: Callable[[_Awaited], None],
    ) -> None:
        self._delegate, self._stream = delegate, connection.stream
        self._on_begun, self._on_whole = on_begun, on_whole
        self._has_begun = False
        self.peer = str(getattr(connection.context, "remote_ip", ""))

    def is_silent(self) -> bool:
        """Whether nothing has come that is not read yet.

        A proxy keeps connections for its next request. One that is under way is not lost.
        """
        try:
            return not self._stream.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except (OSError, AttributeError):  # it has ended
            return True

    def give_up(self) -> None:
        """End the connection. A proxy is told that it was the request, or it would blame us."""
        if self._has_begun and not self._stream.closed():
            self._stream.write(TOO_SLOW)
        self._stream.close()

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Hand on the headers; a body may follow."""
        self._has_begun = True
        if headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers:
            self._on_begun(self, headers)
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Hand on a part of the body."""
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        """Hand on that the request is whole."""
        self._on_whole(self)
        self._delegate.finish()

    def on_connection_close(self) -> None:
        """Hand on that nobody is there any more."""
        self._delegate.on_connection_close()
