"""An HTTP client that stops reading an answer as soon as it is more than was agreed.

Tornado bounds the bytes of a body only. Here the number of pieces is bounded as well, for each
costs the loop time, however small it is; and who asks may not want a body at all.
"""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import SimpleAsyncHTTPClient, _HTTPConnection

PIECES = 8000  # lines of heads, and parts of bodies; besides one for each 1,024 bytes
MOST_INTERIM = 2  # heads with a status below 200 before the one that counts
LONGEST_NUMBER = 18  # digits


class Allowance:
    """What one answer, or several together, may be: bytes of bodies, and pieces."""

    def __init__(self, size: int, within: Allowance | None = None) -> None:
        """Begin with all of it.

        Args:
            size: Bytes.
            within: What is taken is taken from this one, too.
        """
        self._size, self._within = size, within
        self._bytes, self._pieces = size, PIECES + size // 1024

    def has(self, size: int, pieces: int = 1) -> str:
        """Return why so many bytes more may not come in so many pieces; nothing if they may."""
        if size > self._bytes:
            return f"the answer is larger than {self._size} bytes"
        if self._pieces < pieces:
            return "the answer comes in too many pieces"
        return self._within.has(size, pieces) if self._within else ""

    def take(self, size: int, pieces: int = 1) -> str:
        """Take what came, if it may come; return as `has` does."""
        if refusal := self.has(size, pieces):
            return refusal
        self._bytes -= size
        self._pieces -= pieces
        return self._within.take(size, pieces) if self._within else ""


class TooMuchError(HTTPInputError):
    """An answer is more than was agreed."""


class Request(HTTPRequest):
    """A request, and how much of its answer is read.

    Attributes:
        allowance: What the body may be.
        head_only: Whether the answer is whole without it.
    """

    def __init__(self, url: str, allowance: Allowance, *, head_only: bool, **options: Any) -> None:
        super().__init__(url, **options)
        self.allowance, self.head_only = allowance, head_only


class AnswersClient(SimpleAsyncHTTPClient):
    """Fetches each `Request`, and nothing else."""

    def _connection_class(self) -> type:
        return _Exchange


class _Exchange(_HTTPConnection):
    """One request and its answer."""

    request: Request
    interim = 0  # heads so far that announce another one

    async def headers_received(
        self, first_line: ResponseStartLine | RequestStartLine, headers: HTTPHeaders
    ) -> None:
        await super().headers_received(first_line, headers)
        if self.code is None or self.code < HTTPStatus.OK:
            self._count_interim()
            return  # there is another head to come
        if self.request.head_only:
            self.finish()
            return
        lines = sum(1 for _ in headers.get_all())
        if not self._goes_on(self.request.allowance.take(0, lines)):
            return
        length = headers.get("Content-Length", "")
        is_sent = self.request.method != "HEAD" and self.code != HTTPStatus.NOT_MODIFIED
        if is_sent and length.isascii() and length.isdecimal() and len(length) <= LONGEST_NUMBER:
            self._goes_on(self.request.allowance.has(int(length)))
        if "Transfer-Encoding" in headers:
            self._count_chunks()

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        allowed = self._goes_on(self.request.allowance.take(len(chunk)))
        return super().data_received(chunk) if allowed else None

    def _count_interim(self) -> None:
        """See that the head that counts comes soon.

        Raises:
            TooMuchError: It does not. Tornado would read on what has come already.
        """
        self.interim += 1
        refusal = "the answer never begins" if self.interim > MOST_INTERIM else ""
        if not self._goes_on(refusal):
            raise TooMuchError(refusal)

    def _count_chunks(self) -> None:
        """Have the line before each chunk counted; Tornado shows chunks only put together."""
        read = self.stream.read_until

        def read_and_count(delimiter: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
            if not self._goes_on(self.request.allowance.take(0)):
                raise StreamClosedError
            return read(delimiter, max_bytes)

        self.stream.read_until = read_and_count  # type: ignore[method-assign]  # of this one alone

    def _goes_on(self, refusal: str) -> bool:
        """Return whether there is nothing to refuse; otherwise there is no answer."""
        if refusal:
            self._handle_exception(TooMuchError, TooMuchError(refusal), None)
        return not refusal
