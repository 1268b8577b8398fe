"""Phones and frames land on Notebook 7, if the image has it and no other page was chosen."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from tests.support.running_site import PERSON, SCRIPT, Running
from tests.support.world import World
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.orchestrator.launch.small_page import TREE, SmallPages
from tmpnb.settings.application import Tmpnb
from tmpnb.system.http.client import Client

pytestmark = pytest.mark.gen_test(timeout=20)

ID, TOKEN = "Zk3v0bq8rWq1", "a-token"
NOTEBOOK_7 = '<script id="jupyter-config-data">{"baseUrl": "/", "notebookPage": "tree"}</script>'
PHONE = PERSON | {"Sec-CH-UA-Mobile": "?1"}
FRAME = PERSON | {"Sec-Fetch-Dest": "iframe"}


class Image:
    """What all servers of an image answer; None: nothing at all."""

    def __init__(self) -> None:
        self.status: int | None = 200
        self.page = NOTEBOOK_7
        self.asked: list[tuple[str, str | None]] = []  # path, Authorization


class Page(RequestHandler):
    def initialize(self, image: Image) -> None:
        self.image = image

    async def get(self) -> None:
        self.image.asked.append((self.request.path, self.request.headers.get("Authorization")))
        if self.image.status is None:
            self.request.connection.stream.close()  # type: ignore[attr-defined]  # HTTP/1 has one
            return
        self.set_status(self.image.status)
        self.finish(self.image.page)


@pytest.fixture
def image() -> Image:
    return Image()


@pytest.fixture
def app(image: Image) -> Application:
    return Application([("/user/.*", Page, {"image": image})], log_function=lambda _: None)


def ready(address: str, image: str = "one") -> NotebookServer:
    return NotebookServer(ID, 0.0, phase=Phase.READY, address=address, image=image)


async def test_the_first_server_of_an_image_is_asked_and_no_other(
    client: Client, http_server: HTTPServer, base_url: str, image: Image
) -> None:
    pages = SmallPages(client, TREE)
    assert pages.of("one") == ""
    await asyncio.gather(*(pages.look(ready(base_url), TOKEN) for _ in range(3)))
    await pages.look(ready(base_url), TOKEN)
    assert image.asked == [(f"/user/{ID}/tree", f"token {TOKEN}")]
    assert pages.of("one") == TREE
    assert pages.of("two") == ""


@pytest.mark.parametrize(
    ("status", "page"),
    [(404, NOTEBOOK_7), (302, NOTEBOOK_7), (200, "<title>An application</title>"), (200, "")],
)
async def test_what_is_no_page_of_notebook_7_is_none(
    client: Client, http_server: HTTPServer, base_url: str, image: Image, status: int, page: str
) -> None:
    image.status, image.page = status, page
    pages = SmallPages(client, TREE)
    await pages.look(ready(base_url), TOKEN)
    assert pages.of("one") == ""


async def test_after_a_server_that_does_not_answer_the_next_one_is_asked(
    client: Client, http_server: HTTPServer, base_url: str, image: Image
) -> None:
    pages = SmallPages(client, TREE)
    image.status = None
    await pages.look(ready(base_url), TOKEN)
    assert pages.of("one") == ""
    image.status = 200
    await pages.look(ready(base_url), TOKEN)
    assert pages.of("one") == TREE


async def test_nobody_is_asked_where_the_operator_chose_a_page(
    client: Client, http_server: HTTPServer, base_url: str, image: Image
) -> None:
    await SmallPages(client, "").look(ready(base_url), TOKEN)
    assert image.asked == []


@pytest.mark.parametrize(
    ("flags", "landing"),
    [
        ([], ("/lab", "lab", TREE)),
        (["--redirect-uri=/lab"], ("/lab", "lab", "")),
        (["--redirect_uri=/voila"], ("/voila", "", "")),
    ],
)
def test_the_page_that_an_operator_chose_is_everybodys(
    flags: list[str], landing: tuple[str, str, str]
) -> None:
    app = Tmpnb()
    app.initialize(flags)
    assert app.landing() == landing


def give_notebook_7(world: World) -> None:
    """Let it be known of the pretended image."""
    pages = world.orchestrator.parts.starter.small_pages
    pages._path = TREE
    pages._found[""] = True


@pytest.mark.parametrize(
    ("headers", "path", "page"),
    [
        (PERSON, "", "lab"),
        (PHONE, "", "tree"),
        (FRAME, "", "tree"),
        (PHONE, "?a=b", "tree?a=b"),
        (PHONE, "/lab/tree/x.ipynb", "lab/tree/x.ipynb"),
        (FRAME, "/lab", "lab"),
    ],
)
async def test_small_ones_land_on_it_unless_the_link_names_a_view(
    running: Running, headers: dict[str, str], path: str, page: str
) -> None:
    give_notebook_7(running.world)
    answer = await running.public()(f"/spawn{path}", headers=headers)
    url = answer.headers["Location"].partition("token=")[0].rstrip("?&")
    assert url.split("/", 3)[3] == page


@pytest.mark.parametrize(("small", "page"), [("1", "tree"), ("0", "lab")])
async def test_the_page_says_how_much_room_it_has(running: Running, small: str, page: str) -> None:
    """It knows better than the headers."""
    give_notebook_7(running.world)
    headers = {**SCRIPT, "Sec-CH-UA-Mobile": "?0" if small == "1" else "?1"}
    answer = await running.public()("/spawn", method="POST", headers=headers, body=f"small={small}")
    assert f"/{page}?token=" in answer.body.decode()


async def test_where_the_image_has_no_such_page_all_land_on_the_same(running: Running) -> None:
    answer = await running.public()("/spawn", headers=PHONE)
    assert "/lab?token=" in answer.headers["Location"]
