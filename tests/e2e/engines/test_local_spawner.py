"""Real Jupyter as a local process: it is ready, runs code, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.websocket import websocket_connect

from tests.support.engines.contract import wait_until
from tests.support.requirements import missing
from tmpnb.orchestrator.culling.activity import ask_for_use
from tmpnb.orchestrator.launch.readiness import wait_until_ready
from tmpnb.spawners.base import ServerSpec
from tmpnb.spawners.local.spawner import LocalProcessSpawner
from tmpnb.system import process
from tmpnb.system.http.client import MAX_ANSWER, Client
from tmpnb.system.process import Process

pytestmark = [
    pytest.mark.local,
    pytest.mark.xdist_group("local_spawner"),
    pytest.mark.gen_test(timeout=300),
]

BOOT = 90.0  # seconds until Jupyter answers, on a machine with much else to do
SPEC = ServerSpec("a", "/user/a/", token="secret-of-the-server")
AUTHORIZATION = {"Authorization": f"token {SPEC.token}"}


@dataclass
class Notebook:
    """A server that is ready, seen as its visitor and as its operator sees it."""

    spawner: LocalProcessSpawner
    address: str
    directory: Path

    @property
    def url(self) -> str:
        return f"{self.address}{SPEC.base_url}"

    def processes(self) -> set[Process]:
        return process.marked(f"TMPNB_SERVER_DIR={self.directory}")

    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.directory / "server.json").read_text()))

    def has_directory(self) -> bool:
        return self.directory.exists()

    async def fetch(self, path: str, **how: Any) -> HTTPResponse:
        client = Client(MAX_ANSWER)
        try:
            return await client.fetch(f"{self.url}{path}", timeout=30, **how)
        finally:
            client.close()

    async def ask(self, path: str, **how: Any) -> Any:
        answer = await self.fetch(path, headers=AUTHORIZATION, **how)
        assert answer.code < 300, answer.body
        return json.loads(answer.body)

    async def run(self, code: str) -> str:
        """Run `code` in a new kernel; return what it printed until it printed a whole line."""
        kernel = await self.ask("api/kernels", method="POST", body="{}")
        channels = f"{self.url}api/kernels/{kernel['id']}/channels".replace("http", "ws", 1)
        socket = await websocket_connect(HTTPRequest(channels, headers=AUTHORIZATION))
        await socket.write_message(json.dumps(execute_request(code)))
        printed = ""
        while not printed.endswith("\n"):
            message = json.loads(str(await socket.read_message()))
            if message["msg_type"] == "error":
                pytest.fail("\n".join(message["content"]["traceback"]))
            if message["msg_type"] == "stream":
                printed += message["content"]["text"]
        socket.close()
        return printed


def execute_request(code: str) -> dict[str, object]:
    return {
        "channel": "shell",
        "header": {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "execute_request",
            "session": uuid.uuid4().hex,
            "username": "",
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False},
    }


def start(directory: Path) -> Notebook:
    """Start a server in `directory` and return when it is ready, or skip the test."""
    if shutil.which("jupyter-lab", path=str(Path(sys.executable).parent)) is None:
        missing("jupyterlab beside this Python: pip install 'tmpnb[local]'")
    (directory / "given").mkdir()
    (directory / "given" / "welcome.md").write_text("Hello")
    spawner = LocalProcessSpawner(directory=str(directory), notebook_dir=str(directory / "given"))

    async def begin() -> str:
        await spawner.setup()
        address = await spawner.start(SPEC)
        deadline = asyncio.get_running_loop().time() + BOOT
        await wait_until_ready(Client(MAX_ANSWER), f"{address}{SPEC.base_url}api", deadline)
        return address

    try:
        address = asyncio.run(begin())
    except BaseException:
        asyncio.run(end(spawner))
        raise
    place = directory / f"tmpnb-{os.geteuid()}-tmpnb" / SPEC.server_id
    return Notebook(spawner, address, place)


async def end(spawner: LocalProcessSpawner) -> None:
    await spawner.stop(SPEC.server_id)
    await spawner.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """Return a server for tests that leave it as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONFIGPROXY_AUTH_TOKEN", "not for visitors")
        notebook = start(tmp_path_factory.mktemp("shared"))
    yield notebook
    asyncio.run(end(notebook.spawner))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Notebook]:
    """Return a server for one test alone."""
    notebook = start(tmp_path)
    yield notebook
    asyncio.run(end(notebook.spawner))


async def test_stop_ends_kernels_and_all_they_started_and_removes_the_directory(
    own: Notebook,
) -> None:
    code = (
        "import subprocess\n"
        "print(subprocess.Popen(['sleep', '600']).pid,"
        " subprocess.Popen(['sleep', '600'], start_new_session=True).pid,"
        " subprocess.Popen(['sleep', '600'], start_new_session=True, env={}).pid)"
    )
    children = [process.find(int(pid)) for pid in (await own.run(code)).split()]
    assert None not in children
    assert len(own.processes()) >= 4  # server, kernel, and two that have the mark

    await own.spawner.stop(SPEC.server_id)
    assert own.processes() == set()
    assert not any(process.is_running(child) for child in children if child)
    assert not own.has_directory()
    assert await own.spawner.list() == []


async def test_a_killed_server_is_not_running_and_its_kernels_end_with_its_stop(
    own: Notebook,
) -> None:
    record = own.record()
    kernel = process.find(int(await own.run("import os; print(os.getpid())")))
    assert kernel is not None
    process.send(Process(**record["process"]), signal.SIGKILL)

    async def is_down() -> bool:
        (instance,) = await own.spawner.list()
        return not instance.running

    await wait_until(is_down, "the killed server is listed as not running")
    await own.spawner.stop(SPEC.server_id)
    assert not process.is_running(kernel)


async def test_a_notebook_sees_its_own_home_and_no_secret_of_ours(shared: Notebook) -> None:
    code = "import os, json; print(json.dumps([dict(os.environ), os.getcwd()]))"
    environment, directory = json.loads(await shared.run(code))
    assert "not for visitors" not in environment.values()
    assert directory == environment["HOME"] == str(shared.directory / "home")
    assert environment["TMPDIR"] == str(shared.directory / "tmp")


async def test_kernels_see_the_packages_of_this_python(shared: Notebook) -> None:
    code = "import sys, ipykernel; print(sys.prefix, ipykernel.__file__)"
    prefix, ipykernel = (await shared.run(code)).split()
    assert prefix == str(shared.directory / "python")
    assert ipykernel.startswith(f"{sys.prefix}/")


INSTALL = """
from importlib import invalidate_caches
from json import dumps

from IPython.utils.capture import capture_output

with capture_output() as said:
    get_ipython().run_line_magic("pip", "install --no-index --find-links {wheels} seashell")
    get_ipython().system("pip uninstall --yes tornado")
invalidate_caches()
import seashell, tornado
print(dumps([seashell.__file__, said.stdout]))
"""


def wheel(folder: Path) -> Path:
    """Make a package that can be installed; return its folder."""
    about = "seashell-1.0.dist-info"
    with ZipFile(folder / "seashell-1.0-py3-none-any.whl", "w") as made:
        made.writestr("seashell.py", "")
        made.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: seashell\nVersion: 1.0\n")
        made.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr(f"{about}/RECORD", "")
    return folder


def packages() -> set[Path]:
    """Return what is installed in the Python that all of this runs in."""
    found = [Path(place) for place in sys.path if Path(place).name == "site-packages"]
    return {path for place in found for path in (*place.iterdir(), *place.glob("*.dist-info/*"))}


async def test_what_a_visitor_installs_is_theirs_and_the_service_keeps_its_own(
    own: Notebook, tmp_path: Path
) -> None:
    before = packages()
    place, said = json.loads(await own.run(INSTALL.format(wheels=wheel(tmp_path))))
    assert Path(place).is_relative_to(own.directory / "python")
    assert "Successfully installed seashell-1.0" in said
    assert "Not uninstalling tornado" in said
    assert packages() == before


async def test_the_home_shows_what_the_operator_gives_and_nothing_else(
    shared: Notebook,
) -> None:
    listing = await shared.ask("api/contents/")
    assert [entry["name"] for entry in listing["content"]] == ["welcome.md"]
    assert listing["writable"]
    file = await shared.ask("api/contents/welcome.md")
    assert file["writable"]


async def test_the_page_brings_no_news_and_knows_how_to_be_embedded(shared: Notebook) -> None:
    page = await shared.fetch("lab", headers=AUTHORIZATION)
    _, _, rest = page.body.decode().partition('id="jupyter-config-data"')
    config = json.loads(rest.partition(">")[2].partition("<")[0])
    assert config["disabledExtensions"] == ["@jupyterlab/apputils-extension:announcements"]
    assert config["appendToken"] is True
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'self'"


async def test_only_who_knows_the_token_gets_in(shared: Notebook) -> None:
    unasked = await shared.fetch("api/contents")
    assert unasked.code == 403
    assert SPEC.token not in await shared.spawner.logs(SPEC.server_id, lines=100)


async def test_it_says_when_it_was_used(shared: Notebook) -> None:
    before = (await shared.spawner.list())[0].created_at
    client = Client(MAX_ANSWER)
    now = before + 3600
    word = await ask_for_use(client, shared.url, SPEC.token, now=now, max_idle=1e9)
    client.close()
    assert word.last_use is not None
    assert word.last_use <= now


async def test_the_kit_says_when_other_pages_were_used(shared: Notebook) -> None:
    assert (await shared.fetch("tmpnb/use")).code == 403
    told = await shared.fetch("tmpnb/use?no_track_activity=1", headers=AUTHORIZATION)
    assert json.loads(told.body) == {"last_use": None}
