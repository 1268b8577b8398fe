"""The proxy's client against an API that misbehaves; what works is in the contract suite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from tmpnb.errors import ProxyAuthError, ProxyError
from tmpnb.proxy.chp import ConfigurableHTTPProxy
from tmpnb.system.http.client import MAX_ANSWER, Client

pytestmark = pytest.mark.gen_test(timeout=20)

TOKEN = "secret-of-the-api"
TARGET = "http://127.0.0.1:9"
TIME = "2026-11-22T16:00:00.250Z"


class Answer:
    """What the API says next, and what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.hangs = 200, "{}", False
        self.asked: list[tuple[str, str]] = []


class Api(RequestHandler):
    def initialize(self, answer: Answer) -> None:
        self.answer = answer

    async def prepare(self) -> None:
        self.answer.asked.append((self.request.method or "", self.request.uri or ""))
        if self.answer.hangs:
            await asyncio.Event().wait()
        self.set_status(self.answer.status)
        if self.answer.status in (301, 302):
            self.set_header("Location", "/api/routes/elsewhere")
        await self.finish(None if self.answer.status == 204 else self.answer.body)


@pytest.fixture
def answer() -> Answer:
    return Answer()


@pytest.fixture
def app(answer: Answer) -> Application:
    return Application([("/.*", Api, {"answer": answer})])


@pytest.fixture
def proxy(
    http_server: HTTPServer, base_url: str, io_loop: IOLoop
) -> Iterator[ConfigurableHTTPProxy]:
    async def make() -> ConfigurableHTTPProxy:
        return ConfigurableHTTPProxy(Client(MAX_ANSWER), f"{base_url}/", TOKEN, "ours", timeout=1.0)

    made: ConfigurableHTTPProxy = io_loop.run_sync(make)
    yield made
    io_loop.run_sync(made.close)


def route(**changes: object) -> dict[str, object]:
    return {
        "target": TARGET,
        "tmpnb_pool": "ours",
        "server_id": "a",
        "last_activity": TIME,
    } | changes


async def test_time_is_read_to_the_millisecond(
    proxy: ConfigurableHTTPProxy, answer: Answer
) -> None:
    answer.body = json.dumps({"/user/a": route()})
    (found,) = await proxy.list_routes()
    assert found.last_activity == 1795363200.25


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"text"', "<html>", "\udcff"])
async def test_a_broken_table_is_an_error_and_not_an_empty_table(
    proxy: ConfigurableHTTPProxy, answer: Answer, body: str
) -> None:
    answer.body = body.encode(errors="surrogateescape")  # type: ignore[assignment] # not UTF-8
    with pytest.raises(ProxyError, match="not understood"):
        await proxy.list_routes()


@pytest.mark.parametrize(
    "fault",
    [
        {"target": None},
        {"target": 7},
        {"last_activity": None},
        {"last_activity": "yesterday"},
        {"last_activity": "2026-11-22T16:00:00"},
        {"server_id": None},
        {"server_id": "b"},
    ],
    ids=str,
)
async def test_a_broken_route_of_ours_is_an_error_and_a_foreign_one_is_ignored(
    proxy: ConfigurableHTTPProxy, answer: Answer, fault: dict[str, object]
) -> None:
    answer.body = json.dumps({"/user/a": route(**fault)})
    with pytest.raises(ProxyError, match="/user/a"):
        await proxy.list_routes()
    answer.body = json.dumps({"/user/a": route(**fault, tmpnb_pool="theirs"), "/user/b": None})
    assert await proxy.list_routes() == []


async def test_routes_without_an_owner_are_ignored(
    proxy: ConfigurableHTTPProxy, answer: Answer
) -> None:
    answer.body = json.dumps({"/": {"target": TARGET}, "/user/x": [], "/user/y": 3})
    assert await proxy.list_routes() == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_told_apart(
    proxy: ConfigurableHTTPProxy, answer: Answer, status: int
) -> None:
    answer.status = status
    with pytest.raises(ProxyAuthError, match=f"HTTP {status}.*CONFIGPROXY_AUTH_TOKEN"):
        await proxy.setup()


@pytest.mark.parametrize("status", [202, 301, 302, 400, 404, 405, 500, 502])
async def test_an_unexpected_status_names_itself_and_the_address(
    proxy: ConfigurableHTTPProxy, answer: Answer, status: int, base_url: str
) -> None:
    answer.status = status
    with pytest.raises(ProxyError, match=f"{base_url} answered GET with HTTP {status};"):
        await proxy.list_routes()
    assert answer.asked == [("GET", "/api/routes")]  # a redirect is not followed


@pytest.mark.parametrize("status", [200, 204, 404, 500])
async def test_only_201_says_that_a_route_was_added(
    proxy: ConfigurableHTTPProxy, answer: Answer, status: int
) -> None:
    answer.status = status
    with pytest.raises(ProxyError, match=f"POST with HTTP {status}"):
        await proxy.add_route("a", TARGET)


@pytest.mark.parametrize("status", [200, 302, 500])
async def test_only_204_and_404_say_that_a_route_is_gone(
    proxy: ConfigurableHTTPProxy, answer: Answer, status: int
) -> None:
    answer.status = status
    with pytest.raises(ProxyError, match=f"DELETE with HTTP {status}"):
        await proxy.delete_route("a")


async def test_an_error_does_not_say_whether_a_route_exists(
    proxy: ConfigurableHTTPProxy, answer: Answer
) -> None:
    answer.status = 500
    with pytest.raises(ProxyError):
        await proxy.route_exists("a")


async def test_an_id_stays_one_part_of_the_path(
    proxy: ConfigurableHTTPProxy, answer: Answer
) -> None:
    answer.status = 404
    await proxy.delete_route("../../x?y")
    assert answer.asked == [("DELETE", "/api/routes/user/..%2F..%2Fx%3Fy/")]


async def test_a_silent_api_is_an_error_after_the_deadline(
    proxy: ConfigurableHTTPProxy, answer: Answer
) -> None:
    answer.hangs = True
    with pytest.raises(ProxyError, match="does not answer"):
        await proxy.list_routes()


async def test_an_api_that_is_not_there_is_an_error(
    proxy: ConfigurableHTTPProxy, http_server: HTTPServer, base_url: str
) -> None:
    http_server.stop()
    with pytest.raises(ProxyError, match=f"does not answer: {base_url}"):
        await proxy.list_routes()


@pytest.mark.parametrize("status", [403, 500])
async def test_no_message_holds_the_token(
    proxy: ConfigurableHTTPProxy, answer: Answer, status: int
) -> None:
    answer.status, answer.body = status, f"you said {TOKEN}"
    with pytest.raises(ProxyError) as caught:
        await proxy.list_routes()
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(caught.value)
