"""Readiness: a server is ready when it says so itself, and not a moment earlier."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tmpnb.errors import StartTimeoutError
from tmpnb.orchestrator.launch import readiness
from tmpnb.orchestrator.launch.readiness import wait_until_ready
from tmpnb.system.http.client import MAX_ANSWER, Client

pytestmark = pytest.mark.gen_test(timeout=20)


class Server:
    """The statuses a server answers with in turn, the last for ever; None: silence."""

    def __init__(self) -> None:
        self.statuses: list[int | None] = [200]
        self.asked = 0
        self.page = b""


class Api(RequestHandler):
    def initialize(self, server: Server) -> None:
        self.server = server

    async def get(self) -> None:
        self.server.asked += 1
        left = self.server.statuses
        status = left.pop(0) if len(left) > 1 else left[0]
        if status is None:
            await asyncio.Event().wait()
            return
        if status == 302:
            self.set_header("Location", "/login")
        self.set_status(status)
        if self.server.page:
            self.finish(self.server.page)


class Login(RequestHandler):
    def get(self) -> None:
        self.write("a page that answers 200")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def app(server: Server) -> Application:
    return Application([("/login", Login), ("/user/a/api", Api, {"server": server})])


def seconds_from_now(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_a_server_that_answers_is_ready(
    client: Client, http_server: HTTPServer, base_url: str, server: Server
) -> None:
    await wait_until_ready(client, f"{base_url}/user/a/api", seconds_from_now(15))
    assert server.asked == 1


async def test_what_it_answers_may_be_a_page_of_any_size(
    client: Client, http_server: HTTPServer, base_url: str, server: Server
) -> None:
    server.page = b"x" * (MAX_ANSWER + 1)
    await wait_until_ready(client, f"{base_url}/user/a/api", seconds_from_now(15))
    assert server.asked == 1


@pytest.mark.parametrize("status", [201, 302, 403, 404, 500, 503])
async def test_any_other_answer_is_not_ready_yet(
    client: Client, http_server: HTTPServer, base_url: str, server: Server, status: int
) -> None:
    server.statuses = [status, status, 200]
    await wait_until_ready(client, f"{base_url}/user/a/api", seconds_from_now(15))
    assert server.asked == 3


@pytest.mark.parametrize("status", [302, 404])
async def test_the_last_answer_is_told_when_the_deadline_passes(
    client: Client, http_server: HTTPServer, base_url: str, server: Server, status: int
) -> None:
    server.statuses = [status]
    with pytest.raises(StartTimeoutError, match=f"/user/a/api: HTTP {status}$"):
        await wait_until_ready(client, f"{base_url}/user/a/api", seconds_from_now(0.3))
    assert server.asked > 1


async def test_a_server_may_begin_to_listen_late(
    client: Client, app: Application, server: Server
) -> None:
    sock, port = bind_unused_port()
    sock.close()
    url = f"http://127.0.0.1:{port}/user/a/api"
    waiting = asyncio.ensure_future(wait_until_ready(client, url, seconds_from_now(15)))
    await asyncio.sleep(0)  # let it begin
    late = HTTPServer(app)
    late.listen(port, "127.0.0.1")
    await waiting
    assert server.asked == 1
    late.stop()


async def test_a_closed_port_is_never_ready(client: Client) -> None:
    sock, port = bind_unused_port()
    sock.close()
    with pytest.raises(StartTimeoutError, match=f"127.0.0.1:{port}"):
        await wait_until_ready(client, f"http://127.0.0.1:{port}/api", seconds_from_now(0.3))


async def test_a_silent_server_cannot_outlast_the_deadline(
    client: Client, http_server: HTTPServer, base_url: str, server: Server
) -> None:
    server.statuses = [None]
    with pytest.raises(StartTimeoutError, match="/user/a/api: "):
        await wait_until_ready(client, f"{base_url}/user/a/api", seconds_from_now(0.3))


async def test_one_question_that_hangs_is_asked_again(
    client: Client,
    http_server: HTTPServer,
    base_url: str,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "PROBE_TIMEOUT", 0.1)
    server.statuses = [None, 200]
    await wait_until_ready(client, f"{base_url}/user/a/api", seconds_from_now(15))
    assert server.asked == 2


async def test_a_deadline_in_the_past_asks_nothing(
    client: Client, http_server: HTTPServer, base_url: str, server: Server
) -> None:
    with pytest.raises(StartTimeoutError, match="no answer"):
        await wait_until_ready(client, f"{base_url}/user/a/api", seconds_from_now(-1))
    assert server.asked == 0
