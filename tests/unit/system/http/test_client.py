"""The HTTP client: an answer whatever its status, or one kind of error, within the deadline."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpserver import TCPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tmpnb.errors import UnreachableError
from tmpnb.system.http import client as http
from tmpnb.system.http.client import Client

pytestmark = pytest.mark.gen_test(timeout=20)


class Echo(RequestHandler):
    def prepare(self) -> None:
        self.set_status(int(self.get_query_argument("status", "200")))
        if self.get_status() == 302:
            self.set_header("Location", "/elsewhere")
        request = self.request
        said = request.headers.get("X-Word", "")
        self.finish(f"{request.method} {request.path} {said} {request.body.decode()}")


class Silent(RequestHandler):
    async def get(self) -> None:
        await asyncio.Event().wait()


class NotHttp(TCPServer):
    """Speaks another protocol; `words` empty: hangs up at once."""

    words = b""

    async def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        try:
            if self.words:
                await stream.write(self.words)
        except StreamClosedError:
            pass
        stream.close()


@pytest.fixture
def app() -> Application:
    return Application([("/silent", Silent), ("/.*", Echo)])


@pytest.mark.parametrize("status", [200, 201, 302, 403, 404, 500, 503])
async def test_every_status_is_an_answer(
    client: Client, http_server: HTTPServer, base_url: str, status: int
) -> None:
    answer = await client.fetch(f"{base_url}/x?status={status}", timeout=5)
    assert answer.code == status
    assert answer.body.startswith(b"GET /x")


async def test_method_headers_and_body_go_as_they_are(
    client: Client, http_server: HTTPServer, base_url: str
) -> None:
    answer = await client.fetch(
        f"{base_url}/x", timeout=5, method="POST", headers={"X-Word": "hi"}, body="text"
    )
    assert answer.body == b"POST /x hi text"


async def test_a_request_with_a_body_needs_none(
    client: Client, http_server: HTTPServer, base_url: str
) -> None:
    assert (await client.fetch(f"{base_url}/x", timeout=5, method="POST")).code == 200
    assert (await client.fetch(f"{base_url}/x", timeout=5, method="DELETE")).code == 200


async def test_a_silent_server_is_unreachable_after_the_deadline(
    client: Client, http_server: HTTPServer, base_url: str
) -> None:
    with pytest.raises(UnreachableError, match="/silent"):
        await client.fetch(f"{base_url}/silent", timeout=0.1)


async def test_a_closed_port_is_unreachable_and_the_query_is_not_told(client: Client) -> None:
    sock, port = bind_unused_port()
    sock.close()
    with pytest.raises(UnreachableError, match=f":{port}/x: ") as caught:
        await client.fetch(f"http://127.0.0.1:{port}/x?token=secret", timeout=5)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("words", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_what_is_not_http_is_unreachable(client: Client, words: bytes) -> None:
    server = NotHttp()
    server.words = words
    sock, port = bind_unused_port()
    server.add_socket(sock)
    with pytest.raises(UnreachableError):
        await client.fetch(f"http://127.0.0.1:{port}/", timeout=5)
    server.stop()


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/", "http://", "http://[::1/"])
async def test_what_is_no_address_is_unreachable(client: Client, url: str) -> None:
    with pytest.raises(UnreachableError):
        await client.fetch(url, timeout=5)


OK = b"HTTP/1.1 200 OK\r\n"
ODD = {
    "headers of 200 kB": OK + b"X-Pad: " + b"x" * 200_000 + b"\r\n\r\n",
    "10,000 headers": OK + b"X: y\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n",
    "no header": OK + b"no colon here\r\n\r\n",
    "bytes that are no text": OK + b"X: \xff\xfe\x00\r\nContent-Length: 0\r\n\r\n\x00",
    "a length that is none": OK + b"Content-Length: many\r\n\r\n",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length of a thousand digits": OK + b"Content-Length: " + b"9" * 1000 + b"\r\n\r\n",
    "both lengths": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "bad chunks": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "a huge chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\nabc",
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    "another protocol": b"SSH-2.0-x\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a status that is none": b"HTTP/1.1 two OK\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"\x81\x02ab" * 100,
    "a length for no content": b"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n123456789",
}


@pytest.mark.parametrize("words", ODD.values(), ids=ODD.keys())
async def test_an_answer_may_be_odd_in_any_way_and_is_told_as_no_answer(
    client: Client, words: bytes
) -> None:
    server = NotHttp()
    server.words = words
    sock, port = bind_unused_port()
    server.add_socket(sock)
    url = f"http://127.0.0.1:{port}/"
    answer, said = None, f"{url}: "
    try:
        answer = await client.fetch(url, timeout=2, most=http.SMALL)
    except UnreachableError as error:
        said = str(error)
    assert said.startswith(f"{url}: ")
    if answer is None:
        assert said.removeprefix(f"{url}: ")
    else:
        assert answer.code in (200, 204)
        assert len(answer.body) <= http.SMALL
    server.stop()


async def test_no_message_is_longer_than_a_few_lines(client: Client) -> None:
    server = NotHttp()
    server.words = OK + b"Content-Length: " + b"x" * 10_000 + b"\r\n\r\n"
    sock, port = bind_unused_port()
    server.add_socket(sock)
    with pytest.raises(UnreachableError) as caught:
        await client.fetch(f"http://127.0.0.1:{port}/{'y' * 10_000}", timeout=5)
    assert len(str(caught.value)) < 1000
    server.stop()


@pytest.mark.parametrize("fault", [KeyError("x"), RecursionError(), RuntimeError("")])
async def test_whatever_the_library_raises_is_told_as_no_answer(
    client: Client, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(AsyncHTTPClient, "fetch", fetch)
    with pytest.raises(UnreachableError, match=r"x\.example/: \S"):
        await client.fetch("http://x.example/?secret", timeout=1)


@pytest.mark.parametrize("most", [10, http.SMALL])
async def test_an_answer_may_have_as_many_bytes_as_the_asker_says(
    client: Client, most: int
) -> None:
    server = NotHttp()
    sock, port = bind_unused_port()
    server.add_socket(sock)
    for size in (most, most + 1):
        server.words = OK + f"Content-Length: {size}\r\n\r\n".encode() + b"x" * size
        asked = client.fetch(f"http://127.0.0.1:{port}/", timeout=5, most=most)
        if size == most:
            assert len((await asked).body) == most
        else:
            with pytest.raises(UnreachableError):
                await asked
    server.stop()


async def test_nobody_asks_any_more_once_it_is_closed(
    http_server: HTTPServer, base_url: str
) -> None:
    client = Client()
    client.close()
    with pytest.raises(UnreachableError):
        await client.fetch(f"{base_url}/x", timeout=5)


async def test_waiting_for_a_connection_counts_as_time(
    http_server: HTTPServer, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 1)
    narrow = Client()
    first = asyncio.ensure_future(narrow.fetch(f"{base_url}/silent", timeout=4))
    await asyncio.sleep(0)  # let it begin
    with pytest.raises(UnreachableError):
        await narrow.fetch(f"{base_url}/x", timeout=0.1)
    first.cancel()
    narrow.close()


async def test_two_clients_share_nothing(http_server: HTTPServer, base_url: str) -> None:
    one, other = Client(), Client()
    one.close()
    assert (await other.fetch(f"{base_url}/x", timeout=5)).code == 200
    other.close()
