"""A ready server is asked for its page once; whatever it answers, it stays ready."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from tests.support.world import FakeClock, World, wait_until
from tmpnb.core.health import Health
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import SpawnerError
from tmpnb.orchestrator.launch.launcher import Starter, StartSettings
from tmpnb.orchestrator.launch.readiness import first_page, warm_up
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.fake import FakeSpawner
from tmpnb.system.http.client import Client
from tmpnb.system.signing import TokenMaker

ID = "Zk3v0bq8rWq1"
BASE = f"/user/{ID}/"
KEY = b"k" * 32

pytestmark = pytest.mark.gen_test(timeout=20)


class Lab:
    """A notebook server that is up; None: it never sends its page."""

    def __init__(self) -> None:
        self.status: int | None = 200
        self.asked: list[tuple[str, str | None]] = []  # path, Authorization


class Page(RequestHandler):
    def initialize(self, lab: Lab) -> None:
        self.lab = lab

    async def get(self) -> None:
        self.lab.asked.append((self.request.uri or "", self.request.headers.get("Authorization")))
        if self.request.path.endswith("/api"):
            return
        if self.lab.status is None:
            await asyncio.Event().wait()
        else:
            self.set_status(self.lab.status)


class Slow(FakeSpawner):
    """Its servers are where a test says, when it says so."""

    address = ""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def start(self, spec: ServerSpec) -> str:
        self.begun.set()
        await self.may_end.wait()
        return self.address


def ready(address: str) -> NotebookServer:
    return NotebookServer(ID, 0.0, phase=Phase.READY, created_at=0.0, address=address)


def new_starter(client: Client, spawner: FakeSpawner | None = None) -> Starter:
    clock = FakeClock()
    return Starter(
        StartSettings(concurrency=1, first_page="lab"),
        spawner=spawner or FakeSpawner(),
        client=client,
        tokens=TokenMaker(KEY),
        health=Health(clock),
        clock=clock,
    )


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def app(lab: Lab) -> Application:
    return Application([("/user/.*", Page, {"lab": lab})], log_function=lambda _: None)


@pytest.mark.parametrize(
    ("redirect_uri", "path"),
    [
        ("/lab", "lab"),
        ("/lab/", "lab"),
        ("/lab/tree/x.ipynb?reset", "lab/tree/x.ipynb"),
        ("/tree", "tree"),
        ("/tree?a=/b", "tree"),
        ("/voila/render/x.ipynb", ""),
        ("/git-pull?repo=https://example.org/r&urlpath=lab", ""),
        ("/notebooks/x.ipynb", ""),
        ("/labyrinth", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_only_pages_that_show_and_do_nothing_are_asked_for(redirect_uri: str, path: str) -> None:
    assert first_page(redirect_uri) == path


@pytest.mark.parametrize("status", [200, 302, 403, 404, 500])
async def test_a_ready_server_makes_its_page_and_stays_ready(
    client: Client, http_server: HTTPServer, base_url: str, lab: Lab, status: int
) -> None:
    lab.status = status
    server, starter = ready(base_url), new_starter(client)
    await starter.make_first_page(server)
    assert lab.asked == [(f"{BASE}lab", f"token {TokenMaker(KEY).token_for(ID)}")]
    assert server.phase is Phase.READY


async def test_a_server_that_a_visitor_has_is_left_alone(
    client: Client, http_server: HTTPServer, base_url: str, lab: Lab
) -> None:
    server, starter = ready(base_url), new_starter(client)
    server.phase = Phase.CLAIMED
    await starter.make_first_page(server)
    assert lab.asked == []


async def test_servers_that_have_to_be_started_go_first(
    client: Client, http_server: HTTPServer, base_url: str, lab: Lab
) -> None:
    spawner = Slow()
    spawner.address = base_url
    starter = new_starter(client, spawner)
    start = asyncio.create_task(starter.start(NotebookServer(ID, 0.0, created_at=0.0)))
    page = asyncio.create_task(starter.make_first_page(ready(base_url)))
    await spawner.begun.wait()
    await asyncio.sleep(0)
    assert lab.asked == []
    spawner.may_end.set()
    await asyncio.gather(start, page)
    assert [path for path, _ in lab.asked] == [f"{BASE}api", f"{BASE}lab"]


async def test_a_page_that_does_not_come_is_not_waited_for(
    client: Client, http_server: HTTPServer, base_url: str, lab: Lab
) -> None:
    lab.status = None
    server = ready(base_url)
    await asyncio.wait_for(warm_up(client, server, "lab", "secret", 0.05), 10)
    assert lab.asked == [(f"{BASE}lab", "token secret")]


async def test_a_server_that_is_gone_again_is_no_error_here(client: Client) -> None:
    server = ready("http://127.0.0.1:1")
    await warm_up(client, server, "lab", "secret")
    assert server.phase is Phase.READY


EMPTY = "tmpnb: what the image has in /home/jovyan is more than 64 kB, so it begins empty"


class Saying(FakeSpawner):
    """What its servers printed is this, if it can be read."""

    def __init__(self, printed: str) -> None:
        super().__init__()
        self.printed, self.asked, self.faulty = printed, 0, False
        self.server: NotebookServer | None = None  # that a visitor takes meanwhile

    async def logs(self, server_id: str, lines: int = 20) -> str:
        self.asked += 1
        if self.server:
            self.server.phase = Phase.CLAIMED
        if self.faulty:
            raise SpawnerError("no answer")
        return self.printed


def of_image(image: str) -> NotebookServer:
    return NotebookServer(ID, 0.0, phase=Phase.READY, created_at=0.0, image=image)


async def test_an_image_whose_home_does_not_fit_is_told_of_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    spawner = Saying(f"{EMPTY}\nJupyter is running\n")
    starter = new_starter(client, spawner)
    for image in ("one", "one", "two"):
        await starter.look_at_home(of_image(image))
    assert [record.getMessage() for record in caplog.records] == [
        f"servers lack files image={image}: {EMPTY.removeprefix('tmpnb: ')};"
        " raise --disk-limit, and --mem-limit with it"
        for image in ("one", "two")
    ]
    assert spawner.asked == 2


async def test_an_image_whose_home_fits_is_looked_at_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    spawner = Saying("Jupyter is running\n")
    starter = new_starter(client, spawner)
    for _ in range(2):
        await starter.look_at_home(of_image("one"))
    assert (spawner.asked, caplog.records) == (1, [])


async def test_an_engine_that_does_not_say_is_asked_again(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    spawner = Saying(EMPTY)
    spawner.faulty = True
    starter = new_starter(client, spawner)
    await starter.look_at_home(of_image("one"))
    assert caplog.records == []
    spawner.faulty = False
    await starter.look_at_home(of_image("one"))
    assert len(caplog.records) == 1


async def test_what_a_visitor_may_have_printed_is_not_repeated(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    spawner = Saying(EMPTY)
    starter = new_starter(client, spawner)
    spawner.server = of_image("one")
    await starter.look_at_home(spawner.server)
    await starter.look_at_home(spawner.server)
    assert (spawner.asked, caplog.records) == (1, [])
    spawner.server = None
    await starter.look_at_home(of_image("one"))
    assert len(caplog.records) == 1


async def test_the_service_looks_at_the_first_server_that_is_ready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spawner = Saying(EMPTY)
    async with World(2, spawner=spawner).running() as world:
        await world.until_ready(2)
        await wait_until(lambda: "servers lack files" in caplog.text)
    assert spawner.asked == 1
