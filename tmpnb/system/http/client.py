"""Ask an address over HTTP, with a deadline and one kind of failure."""

from __future__ import annotations

from collections.abc import Mapping

from tornado.httpclient import HTTPResponse

from tmpnb.errors import AnswerTooLargeError, UnreachableError
from tmpnb.system.http.bounded_answers import Allowance, AnswersClient, Request, TooMuchError

MAX_CONNECTIONS = 1000  # at once; requests above it wait, and waiting counts as time
SMALL = 64 * 1024  # bytes of an answer that says one thing, as `api/status` does
LISTING = 1024 * 1024  # bytes of an answer that lists what a server has
LARGEST_HEAD = 8 * 1024  # bytes of the lines before an answer's body
MAX_ANSWER = 16 * 1024 * 1024  # bytes of what a part of the service itself answers
LONGEST_URL = 16 * 1024  # characters; whoever takes them apart remembers the last ones
LONGEST_SHOWN = 300  # characters in a message of an address, and of what is wrong


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
        self._client: AnswersClient | None = None
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
        within: Allowance | None = None,
        head_only: bool = False,
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
            within: What several answers may have together.
            head_only: Whether to read no body, however large it is.

        Raises:
            AnswerTooLargeError: There was one, and it is larger or in more pieces than it may be.
            UnreachableError: There was no answer. The message leaves out the query.
        """
        shown = url.partition("?")[0][:LONGEST_SHOWN]
        try:
            request = Request(
                short_enough(url),
                Allowance(most or self._most, within),
                head_only=head_only,
                method=method,
                headers=dict(headers or {}),
                body=body,
                connect_timeout=timeout,
                request_timeout=timeout,
                follow_redirects=False,
                allow_nonstandard_methods=True,
                decompress_response=False,
            )
            return await self._open().fetch(request, raise_error=False)
        except TooMuchError as error:
            raise AnswerTooLargeError(f"{shown}: {error}") from error
        except Exception as error:
            said = str(error)[:LONGEST_SHOWN] or type(error).__name__
            raise UnreachableError(f"{shown}: {said}") from error

    def close(self) -> None:
        """Close every connection; requests under way fail."""
        self._closed = True
        if self._client is not None:
            self._client.close()

    def _open(self) -> AnswersClient:
        if self._closed:
            raise UnreachableError("nobody asks any more")
        if self._client is None:
            self._client = AnswersClient(
                force_instance=True,
                max_clients=MAX_CONNECTIONS,
                max_header_size=LARGEST_HEAD,
                max_body_size=MAX_ANSWER,
            )
        return self._client


def short_enough(url: str) -> str:
    """Return an address that is short enough to be asked.

    Raises:
        UnreachableError: It is not.
    """
    if len(url) > LONGEST_URL:
        raise UnreachableError(f"an address of {len(url)} characters is too long")
    return url
