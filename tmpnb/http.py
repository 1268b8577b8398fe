"""Ask an address over HTTP, with a deadline and one kind of failure."""

from __future__ import annotations

from collections.abc import Mapping

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

from tmpnb.errors import UnreachableError

MAX_CONNECTIONS = 1000  # at once; requests above it wait, and waiting counts as time
MAX_ANSWER = 16 * 1024 * 1024  # bytes


class Client:
    """An HTTP client for the engine's servers and the proxy's API.

    One for each purpose, so that slow servers cannot keep the proxy waiting.
    """

    def __init__(self) -> None:
        self._client = AsyncHTTPClient(
            force_instance=True, max_clients=MAX_CONNECTIONS, max_body_size=MAX_ANSWER
        )

    async def fetch(
        self,
        url: str,
        *,
        timeout: float,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> HTTPResponse:
        """Return the answer whatever its status; redirects are not followed.

        Args:
            url: Where to ask.
            timeout: Seconds for the whole exchange, name look-up included.
            method: HTTP method.
            headers: Sent as they are.
            body: Sent as it is.

        Raises:
            UnreachableError: There was no answer. The message leaves out the query.
        """
        request = HTTPRequest(
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
        try:
            return await self._client.fetch(request, raise_error=False)
        except (HTTPClientError, OSError, ValueError) as error:
            raise UnreachableError(f"{url.partition('?')[0]}: {error}") from error

    def close(self) -> None:
        """Close every connection; requests under way fail."""
        self._client.close()
