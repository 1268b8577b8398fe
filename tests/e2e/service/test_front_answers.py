"""What a notebook answers gives no orders, to nginx or to browsers for all of the host."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.web import RequestHandler
from tornado.websocket import websocket_connect

from tests.e2e.running_service import until_true
from tests.e2e.service.front import Echo, application, front

pytestmark = pytest.mark.gen_test(timeout=60)

MUCH, PIECE = 16 * 1024**2, 65536  # bytes
FORGED = {"X-Forwarded-For": "198.51.100.9", "X-Forwarded-Proto": "https", "Host": "x.example:8443"}
ORDERS = {
    "X-Accel-Buffering": "yes",
    "X-Accel-Charset": "utf-7",
    "X-Accel-Expires": "86400",
    "X-Accel-Limit-Rate": "1",
    "X-Accel-Redirect": "/api/spawn/other",
}
OF_THE_HOST = {
    "Accept-CH": "Sec-CH-UA-Model",
    "Accept-CH-Lifetime": "86400",
    "ALT-SVC": 'h3="elsewhere.example:443"; ma=86400',
    "Attribution-Reporting-Register-Source": "{}",
    "Attribution-Reporting-Register-Trigger": "{}",
    "Clear-Site-Data": '"*"',
    "Critical-CH": "Sec-CH-UA-Model",
    "Expect-CT": 'max-age=86400, report-uri="https://elsewhere.example/"',
    "Expect-Staple": "max-age=86400",
    "nel": '{"report_to": "x", "max_age": 86400}',
    "Origin-Agent-Cluster": "?0",
    "Public-Key-Pins": 'pin-sha256="eA=="; max-age=86400',
    "Public-Key-Pins-Report-Only": 'pin-sha256="eA=="; report-uri="https://elsewhere.example/"',
    "Report-To": '{"group": "x", "max_age": 86400, "endpoints": []}',
    "Reporting-Endpoints": 'default="https://elsewhere.example/"',
    "Sec-Session-Registration": '(ES256);path="x"',
    "Secure-Session-Registration": '(ES256);path="x"',
    "Service-Worker-Allowed": "/",
    "Set-Login": "logged-out",
    "Strict-Transport-Security": "max-age=0; includeSubDomains",
    "Use-As-Dictionary": 'match="/*"',
}
OF_A_PAGE = {
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Cache-Control": "no-cache",
    "Permissions-Policy": "camera=()",
    "Set-Cookie": "a=b",
    "X-Of-Mine": "c",
}


class Mirror(RequestHandler):
    """Tells what has come."""

    async def post(self) -> None:
        await self.finish({"headers": dict(self.request.headers), "sent": len(self.request.body)})


class Notebook(RequestHandler):
    """Answers with the headers it is given, and notes what it is asked."""

    says: dict[str, str]
    asked: list[str]

    async def get(self) -> None:
        self.asked.append(self.request.uri or "")
        for name, value in self.says.items():
            self.set_header(name, value)
        await self.finish("x" * 4096)


class Bits(Notebook):
    """Says the second half once somebody has had the first."""

    go: asyncio.Event

    async def get(self) -> None:
        for name, value in self.says.items():
            self.set_header(name, value)
        self.write("first ")
        await self.flush()
        await self.go.wait()
        await self.finish("second")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Notebook.says, Notebook.asked, Bits.go = {}, [], asyncio.Event()


async def ask(url: str, **how: object) -> HTTPResponse:
    request = HTTPRequest(url, follow_redirects=False, **how)  # type: ignore[arg-type] # as given
    return await AsyncHTTPClient().fetch(request, raise_error=False)


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/mirror", 256 * 1024),
        ("/user/x/mirror", 2 * 1024**2),
        ("/spawn/mirror", 1000),
        ("/api/spawn", 1000),
    ],
)
async def test_a_front_says_who_asks_and_passes_on_all_that_notebooks_need(
    path: str, size: int, tmp_path: Path
) -> None:
    rules = (path, Mirror), (f"{path}/bits", Bits), (f"{path}/echo", Echo)
    async with (
        application(*rules) as behind,
        front(f"http://127.0.0.1:{behind}", tmp_path) as port,
    ):
        url = f"http://127.0.0.1:{port}{path}"
        answer = await ask(url, method="POST", headers=FORGED, body=b"x" * size)
        told = json.loads(answer.body)
        assert told["sent"] == size
        seen = {name: told["headers"][name] for name in FORGED}
        assert seen == {
            "X-Forwarded-For": "198.51.100.9, 127.0.0.1",
            "X-Forwarded-Proto": "http",
            "Host": "x.example:8443",
        }

        echo = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{port}{path}/echo"))
        await echo.write_message("hello")
        assert await echo.read_message() == "hello"
        echo.close()
        await comes_as_it_is_said(f"{url}/bits")


async def comes_as_it_is_said(url: str) -> None:
    bits: list[bytes] = []
    slow = asyncio.ensure_future(ask(url, streaming_callback=bits.append))
    await until_true(lambda: bits == [b"first "], "it comes when it is said")
    Bits.go.set()
    await slow
    assert b"".join(bits) == b"first second"


@pytest.mark.parametrize("name", ORDERS)
async def test_nginx_takes_no_orders_of_a_notebook(name: str, tmp_path: Path) -> None:
    """Another place would be asked in the visitor's name."""
    rules = (r"/user/x/bits", Bits), (r"/.*", Notebook)
    async with (
        application(*rules) as behind,
        front(f"http://127.0.0.1:{behind}", tmp_path) as port,
    ):
        url = f"http://127.0.0.1:{port}/user/x"
        Notebook.says = {name: ORDERS[name]}
        await comes_as_it_is_said(f"{url}/bits")
        answer = await ask(f"{url}/a")
        assert answer.body == b"x" * 4096
        assert name not in answer.headers
        assert "Expires" not in answer.headers
        assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
        assert Notebook.asked == ["/user/x/a"]


class Long(Notebook):
    """Says more than buffers hold, as fast as it is taken."""

    async def get(self) -> None:
        self.set_header("X-Accel-Buffering", "yes")
        self.set_header("Content-Length", str(MUCH))
        for _ in range(0, MUCH, PIECE):
            self.write(b"x" * PIECE)
            await self.flush()


async def test_no_answer_lies_on_a_disk_while_its_reader_is_slow(tmp_path: Path) -> None:
    """Nginx leaves the directories behind that it has made for such files."""
    answers = tmp_path / "answers"
    here = ("proxy_read_timeout 1h;", f"proxy_read_timeout 1h; proxy_temp_path {answers} 1 2;")
    small = ("listen 443 ssl", "listen 443 ssl sndbuf=16k")  # the kernel holds little
    async with (
        application((r"/.*", Long)) as behind,
        front(f"http://127.0.0.1:{behind}", tmp_path, here, small) as port,
    ):
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, ("127.0.0.1", port))
            await loop.sock_sendall(slow, b"GET /user/x/a HTTP/1.1\r\nHost: x\r\n\r\n")
            read = 0
            while read < MUCH:
                read += len(await loop.sock_recv(slow, 4096)) or MUCH
        assert MUCH < read < 2 * MUCH, "all of it came"
    assert answers.is_dir()
    assert list(answers.iterdir()) == []


@pytest.mark.parametrize("path", ["/user/x/lab", "/user/x/files/a", "/", "/spawn"])
async def test_no_answer_says_what_counts_for_all_of_the_host(path: str, tmp_path: Path) -> None:
    ours = ("absolute_redirect off;", 'add_header Strict-Transport-Security "max-age=9" always;')
    async with (
        application((r"/.*", Notebook)) as behind,
        front(f"http://127.0.0.1:{behind}", tmp_path, ours) as port,
    ):
        Notebook.says = {**OF_THE_HOST, **OF_A_PAGE}
        answer = await ask(f"http://127.0.0.1:{port}{path}")
        assert len(answer.body) == 4096
        passed = {name for name in OF_THE_HOST if name in answer.headers}
        assert passed == {"Strict-Transport-Security"}
        assert answer.headers.get_list("Strict-Transport-Security") == ["max-age=9"]
        assert {name: answer.headers[name] for name in OF_A_PAGE} == OF_A_PAGE


@pytest.mark.parametrize(
    ("host", "path", "said", "passed"),
    [
        ("ab1.nb.example", "/user/ab1/lab", '"storage"', True),
        ("ab1.nb.example:8443", "/user/ab1", '"storage"', False),
        ("ab1.nb.example", "/user/ab1/", '"cookies"', False),
        ("ab1.nb.example", "/user/ab1/", '"storage", "cookies"', False),
        ("nb.example", "/user/ab1/", '"storage"', False),
        ("ab2.nb.example", "/user/ab1/", '"storage"', False),
        ("ab1.nb.example", "/user/ab12/", '"storage"', False),
    ],
)
async def test_storage_is_cleared_at_the_host_of_its_own_server_alone(
    host: str, path: str, said: str, passed: bool, tmp_path: Path
) -> None:
    async with (
        application((r"/.*", Notebook)) as behind,
        front(f"http://127.0.0.1:{behind}", tmp_path) as port,
    ):
        Notebook.says = {"Clear-Site-Data": said}
        answer = await ask(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
        assert answer.headers.get_list("Clear-Site-Data") == ([said] if passed else [])


async def test_our_own_pages_keep_their_process(tmp_path: Path) -> None:
    async with (
        application((r"/.*", Notebook)) as behind,
        front(f"http://127.0.0.1:{behind}", tmp_path) as port,
    ):
        Notebook.says = {"Origin-Agent-Cluster": "?1"}
        answer = await ask(f"http://127.0.0.1:{port}/session/ab1")
        assert answer.headers.get_list("Origin-Agent-Cluster") == ["?1"]


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/user/ab1", "/user/ab1/"),
        ("/user/ab1?token=a%20b&c=d", "/user/ab1/?token=a%20b&c=d"),
        ("/user/%61b1", "/user/ab1/"),
        ("/%75ser/ab1", "/user/ab1/"),
        ("//user//ab1", "/user/ab1/"),
        ("/user/./ab1", "/user/ab1/"),
        ("/user/a%0d%0aSet-Cookie:%20b=c", "/user/a%0D%0ASet-Cookie:%20b=c/"),
        ("/user/a%23b%25c", "/user/a%23b%25c/"),
        ("/user/sw.js", "/user/sw.js/"),
    ],
)
async def test_no_worker_comes_from_before_all_notebooks(
    path: str, leads_to: str, tmp_path: Path
) -> None:
    """One from `/user/<id>` would have the scope `/user/`; no worker comes by a redirect."""
    async with (
        application((r"/.*", Notebook)) as behind,
        front(f"http://127.0.0.1:{behind}", tmp_path) as port,
    ):
        url = f"http://127.0.0.1:{port}"
        answer = await ask(url + path, headers={"Service-Worker": "script"})
        assert answer.code == 302
        assert answer.headers["Location"] == leads_to
        assert "Set-Cookie" not in answer.headers
        assert Notebook.asked == []
        assert (await ask(url + leads_to)).code == 200
        assert (await ask(f"{url}/user/ab1/sw.js")).code == 200
        assert (await ask(f"{url}/user/")).code == 200
        assert Notebook.asked == [leads_to, "/user/ab1/sw.js", "/user/"]
