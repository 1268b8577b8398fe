"""Ask an address over HTTP, with a deadline and one kind of failure."""

from __future__ import annotations

from collections.abc import Mapping

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from tmpnb.errors import UnreachableError

MAX_CONNECTIONS = 1000  # at once; requests above it wait, and waiting counts as time
SMALL = 64 * 1024  # bytes of an answer that says one thing, as `api/status` does
LISTING = 1024 * 1024  # bytes of an answer that lists what a server has
MAX_ANSWER = 16 * 1024 * 1024  # bytes of what a part of the service itself answers


class Client:
    """An HTTP client for the engine's servers and the proxy's API.

    One for each purpose, so that slow servers cannot keep the proxy waiting.
    """

    def __init__(self, most: int = SMALL) -> None:
        """Begin without connections.

        Args:
            most: Bytes that an answer may have if it is not said otherwise.
        """
        self._most = most
        self._clients: dict[int, AsyncHTTPClient] = {}  # by the bytes that an answer may have
        self._closed = False

    async def fetch(
        self,
        url: str,
        *,
        timeout: float,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        most: int = 0,
    ) -> HTTPResponse:
        """Return the answer whatever its status; redirects are not followed.

        Whatever else an answer does is caught here: whoever runs a server may have it send
        anything at all, and that must cost nobody but them.

        Args:
            url: Where to ask.
            timeout: Seconds for the whole exchange, name look-up included.
            method: HTTP method.
            headers: Sent as they are.
            body: Sent as it is.
            most: Bytes that the answer may have, a larger one is no answer; 0: the client's own.

        Raises:
            UnreachableError: There was no answer. The message leaves out the query.
        """
        try:
            request = _request(url, timeout, method, headers, body)
            return await self._client(most or self._most).fetch(request, raise_error=False)
        except Exception as error:
            said = str(error) or type(error).__name__
            raise UnreachableError(f"{url.partition('?')[0]}: {said}") from error

    def close(self) -> None:
        """Close every connection; requests under way fail."""
        self._closed = True
        for client in self._clients.values():
            client.close()

    def _client(self, most: int) -> AsyncHTTPClient:
        if self._closed:
            raise UnreachableError("nobody asks any more")
        if most not in self._clients:
            self._clients[most] = AsyncHTTPClient(
                force_instance=True, max_clients=MAX_CONNECTIONS, max_body_size=most
            )
        return self._clients[most]


def _request(
    url: str, timeout: float, method: str, headers: Mapping[str, str] | None, body: str | None
) -> HTTPRequest:
    return HTTPRequest(
        url,
        method=method,
        headers=dict(headers or {}),
        body=body,
        connect_timeout=timeout,
        request_timeout=timeout,
        follow_redirects=False,
        allow_nonstandard_methods=True,
        decompress_response=False,
    )
