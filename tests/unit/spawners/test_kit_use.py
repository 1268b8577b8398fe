"""The part of the kit that tells when a person used a page that is not Jupyter's own."""

from __future__ import annotations

import runpy
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tests.support.world import wait_until
from tmpnb.spawners import kit
from tmpnb.system.http.client import Client

pytestmark = pytest.mark.gen_test(timeout=20)

USE = kit.DIRECTORY / "use" / "tmpnb_use.py"


class Page(RequestHandler):
    def get(self) -> None:
        self.finish("a page")


class Talk(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


def of(module: str, handler: type) -> type:
    """Return a handler as if it came from another module."""
    return type(handler.__name__, (handler,), {"__module__": module})


@pytest.fixture
def used() -> list[float]:
    """When something counted as use."""
    return []


@pytest.fixture
def app(used: list[float]) -> Application:
    modules = {
        "dash": "jupyter_server_proxy.handlers",
        "own": "jupyter_server.services.kernels.websocket",
        "git": "jupyterlab_git.handlers",
    }
    application = Application(
        [
            route
            for name, module in modules.items()
            for route in (
                (f"/user/x/{name}/page", of(module, Page)),
                (f"/user/x/{name}/ws", of(module, Talk)),
            )
        ]
    )
    module = runpy.run_path(str(USE), run_name="tmpnb_use")
    assert module["_jupyter_server_extension_points"]() == [{"module": "tmpnb_use"}]

    class Watch(module["Watch"]):  # type: ignore[misc]  # as it was run
        def note(self) -> None:
            super().note()
            used.append(self.last_use)

    names: dict[str, Any] = module["_load_jupyter_server_extension"].__globals__
    names |= {"Watch": Watch, "_answering": lambda _: Page}
    names["_load_jupyter_server_extension"](
        SimpleNamespace(base_url="/user/x/", web_app=application)
    )
    return application


@pytest.mark.parametrize(("path", "counts"), [("dash/page", 1), ("own/page", 0), ("git/page", 0)])
async def test_requests_count_where_a_page_is_shown_that_is_not_jupyters(
    client: Client,
    http_server: HTTPServer,
    base_url: str,
    used: list[float],
    path: str,
    counts: int,
) -> None:
    answer = await client.fetch(f"{base_url}/user/x/{path}", timeout=5)
    assert (answer.code, answer.body) == (200, b"a page")
    assert len(used) == counts


@pytest.mark.parametrize(("name", "counts"), [("dash", 3), ("own", 0), ("git", 2)])
async def test_messages_count_on_websockets_that_are_not_jupyters(
    http_server: HTTPServer, base_url: str, used: list[float], name: str, counts: int
) -> None:
    url = f"{base_url}/user/x/{name}/ws".replace("http:", "ws:")
    connection = await websocket_connect(url)
    for word in ("one", "two"):
        await connection.write_message(word)
        assert await connection.read_message() == word
    connection.ping(b"by itself")
    connection.close()
    await wait_until(lambda: len(used) == counts)


async def test_it_says_so_at_an_address_of_its_own(
    client: Client, http_server: HTTPServer, base_url: str
) -> None:
    assert (await client.fetch(f"{base_url}/user/x/tmpnb/use", timeout=5)).code == 200
    assert (await client.fetch(f"{base_url}/user/x/nothing", timeout=5)).code == 404
