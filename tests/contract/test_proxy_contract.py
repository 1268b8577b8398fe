"""What every proxy must do; the fake and the real one go through the same tests."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tests.support.engines.contract import wait_until
from tests.support.fake_proxy import FakeProxy
from tests.support.requirements import chp
from tmpnb.errors import ConfigError, ProxyAuthError, ProxyError, UnreachableError
from tmpnb.proxy.chp import ConfigurableHTTPProxy
from tmpnb.proxy.contract import Proxy
from tmpnb.system.http.client import MAX_ANSWER, Client

pytestmark = pytest.mark.gen_test(timeout=30)

TOKEN = "a-token-of-this-test"
DOMAIN = "notebooks.example"
TARGET = "http://127.0.0.1:9"

# Makes a client of the one proxy under test, for a pool and with a token that is right or not.
Connect = Callable[..., Proxy]


def fake_proxies() -> Connect:
    table: dict[str, dict[str, object]] = {}
    return lambda pool="ours", right=True: FakeProxy(pool, table=table, token_is_right=right)


def real_proxies(endpoint: str, domain: str = "") -> Connect:
    return lambda pool="ours", right=True: ConfigurableHTTPProxy(
        Client(MAX_ANSWER), endpoint, TOKEN if right else "wrong-token", pool, domain=domain
    )


def free_port() -> int:
    sock, port = bind_unused_port()
    sock.close()
    return port


async def until_it_answers(endpoint: str) -> None:
    client = Client(MAX_ANSWER)

    async def answers() -> bool:
        with suppress(UnreachableError):
            await client.fetch(endpoint, timeout=5.0)
            return True
        return False

    await wait_until(answers, f"{endpoint} answers")
    client.close()


@contextmanager
def running_proxy(io_loop: IOLoop, directory: Path, *options: str) -> Iterator[tuple[int, str]]:
    """Run the real proxy; yield its port and the address of its API."""
    port, api_port = free_port(), free_port()
    arguments = [chp(), "--ip=127.0.0.1", f"--port={port}", *options]
    arguments += ["--api-ip=127.0.0.1", f"--api-port={api_port}"]
    with (directory / "chp.log").open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - the proxy under test
            arguments,
            env=dict(os.environ, CONFIGPROXY_AUTH_TOKEN=TOKEN),
            stdout=output,
            stderr=output,
        )
    try:
        endpoint = f"http://127.0.0.1:{api_port}"
        io_loop.run_sync(lambda: until_it_answers(endpoint))
        yield port, endpoint
    finally:
        child.kill()
        child.wait()


@pytest.fixture(
    params=[
        "fake",
        pytest.param("chp", marks=pytest.mark.chp),
        pytest.param("chp-by-hosts", marks=pytest.mark.chp),
    ]
)
def connect(request: pytest.FixtureRequest, io_loop: IOLoop, tmp_path: Path) -> Iterator[Connect]:
    if request.param == "fake":
        yield fake_proxies()
        return
    by_hosts = request.param == "chp-by-hosts"
    options = ["--host-routing"] if by_hosts else []
    with running_proxy(io_loop, tmp_path, *options) as (_, endpoint):
        yield real_proxies(endpoint, DOMAIN if by_hosts else "")


async def test_setup_succeeds_with_the_right_token(connect: Connect) -> None:
    proxy = connect()
    await proxy.setup()
    assert await proxy.list_routes() == []
    await proxy.close()


async def test_a_wrong_token_is_told_apart_and_the_message_says_what_to_set(
    connect: Connect,
) -> None:
    with pytest.raises(ProxyAuthError, match="same CONFIGPROXY_AUTH_TOKEN"):
        await connect(right=False).setup()


async def test_no_call_passes_with_a_wrong_token(connect: Connect) -> None:
    proxy = connect(right=False)
    for call in (
        proxy.list_routes(),
        proxy.route_exists("a"),
        proxy.add_route("a", TARGET),
        proxy.delete_route("a"),
    ):
        with pytest.raises(ProxyError):
            await call
    assert await connect().list_routes() == []


async def test_an_added_route_is_listed_with_its_target_and_the_time_of_now(
    connect: Connect,
) -> None:
    before = time.time()
    await connect().add_route("a", TARGET)
    (route,) = await connect().list_routes()
    assert (route.server_id, route.target) == ("a", TARGET)
    assert before - 0.01 <= route.last_activity <= time.time() + 0.01  # CHP cuts to milliseconds


async def test_a_repeated_route_leads_to_the_new_target_and_is_active_anew(
    connect: Connect,
) -> None:
    proxy = connect()
    await proxy.add_route("a", TARGET)
    (first,) = await proxy.list_routes()
    await proxy.add_route("a", "http://127.0.0.1:10")
    (second,) = await proxy.list_routes()
    assert second.target == "http://127.0.0.1:10"
    assert second.last_activity >= first.last_activity


async def test_delete_removes_the_one_route_it_names(connect: Connect) -> None:
    proxy = connect()
    await proxy.add_route("a", TARGET)
    await proxy.add_route("ab", TARGET)
    await proxy.delete_route("a")
    assert [route.server_id for route in await proxy.list_routes()] == ["ab"]


async def test_deleting_what_is_not_there_succeeds(connect: Connect) -> None:
    proxy = connect()
    await proxy.delete_route("never-was")
    await proxy.add_route("a", TARGET)
    await proxy.delete_route("a")
    await proxy.delete_route("a")
    assert await proxy.list_routes() == []


async def test_routes_of_another_pool_are_not_ours_but_exist(connect: Connect) -> None:
    await connect(pool="theirs").add_route("a", TARGET)
    assert await connect().list_routes() == []
    assert await connect().route_exists("a")
    assert not await connect().route_exists("b")


async def test_a_prefix_of_a_route_does_not_exist(connect: Connect) -> None:
    await connect().add_route("abc", TARGET)
    assert not await connect().route_exists("ab")
    assert not await connect().route_exists("abc/lab")


@pytest.mark.parametrize("server_id", ["A-z_0.9~", "a b", "ä", "50%", "a?b#c", "a%2Fb"])
async def test_ids_with_odd_characters_come_back_as_they_went(
    connect: Connect, server_id: str
) -> None:
    proxy = connect()
    await proxy.add_route(server_id, TARGET)
    assert [route.server_id for route in await proxy.list_routes()] == [server_id]
    assert await proxy.route_exists(server_id)
    await proxy.delete_route(server_id)
    assert await proxy.list_routes() == []


async def test_a_thousand_routes_are_listed_in_full(connect: Connect) -> None:
    proxy = connect()
    ids = {f"server-{number}" for number in range(1000)}
    for server_id in ids:
        await proxy.add_route(server_id, TARGET)
    assert {route.server_id for route in await proxy.list_routes()} == ids


@pytest.mark.chp
def test_by_hosts_a_server_is_found_at_its_own_host_and_no_other(
    io_loop: IOLoop, tmp_path: Path
) -> None:
    with running_proxy(io_loop, tmp_path, "--host-routing") as (port, endpoint):
        target, target_port = bind_unused_port()
        server = HTTPServer(Application([(r"(.*)", Echo)]))
        server.add_socket(target)

        async def visit() -> dict[str, int]:
            proxy, client = real_proxies(endpoint, DOMAIN)(), Client(MAX_ANSWER)
            await proxy.setup()
            assert await proxy.list_routes() == []
            await proxy.add_route("ab3", f"http://127.0.0.1:{target_port}")
            found = {}
            for host in (f"ab3.{DOMAIN}:{port}", f"ab3.{DOMAIN}", f"other.{DOMAIN}", DOMAIN):
                for path in ("/user/ab3/lab", "/lab"):
                    url = f"http://127.0.0.1:{port}{path}"
                    answer = await client.fetch(url, timeout=10, headers={"Host": host})
                    found[host + path] = answer.code
                    if answer.code == 200:
                        assert json.loads(answer.body) == {"host": host, "path": path}
            client.close()
            return found

        found = io_loop.run_sync(visit, timeout=30)
        server.stop()
        io_loop.run_sync(server.close_all_connections)
    reached = {place for place, code in found.items() if code == 200}
    assert reached == {f"ab3.{DOMAIN}:{port}/user/ab3/lab", f"ab3.{DOMAIN}/user/ab3/lab"}
    assert len(found) == 8


class Echo(RequestHandler):
    def get(self, path: str) -> None:
        self.write({"host": self.request.host, "path": path})


@pytest.mark.chp
def test_a_proxy_that_does_not_go_by_hosts_is_refused_with_what_to_do(
    io_loop: IOLoop, tmp_path: Path
) -> None:
    with running_proxy(io_loop, tmp_path) as (_, endpoint):
        proxy = real_proxies(endpoint, DOMAIN)()
        with pytest.raises(ConfigError, match="--host-routing"):
            io_loop.run_sync(proxy.setup, timeout=20)
        assert io_loop.run_sync(proxy.list_routes, timeout=20) == []
