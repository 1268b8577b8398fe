"""Each front server of `deploy/` passes on all of a visit over TLS, and logs no token."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.netutil import OverrideResolver, Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import websocket_connect

from tests.e2e import kernels
from tests.e2e.running_service import free_ports, serving, until_true
from tests.e2e.service.fronts import CHAIN, FRONTS, NAME, Front, Place, running
from tests.support.requirements import ROOT

pytestmark = [pytest.mark.local, pytest.mark.chp, pytest.mark.gen_test(timeout=240)]

UPLOAD = 20 * 1024**2  # bytes of a file
SENT = base64.b64encode(hashlib.shake_256(b"a file").digest(UPLOAD)).decode()
JSON = {"Accept": "application/json"}


class Visitors:
    """Those who come to the front by its name, and trust its certificate."""

    def __init__(self, place: Place) -> None:
        self.root = f"https://{NAME}:{place.port}"
        self._certificate = str(place.directory / CHAIN)
        self._names: dict[str, str] = {}  # and their address
        self._client = SimpleAsyncHTTPClient(
            force_instance=True, hostname_mapping=self._names, max_body_size=4 * UPLOAD
        )

    def _request(self, url: str, token: str, **how: Any) -> HTTPRequest:
        self._names[urlsplit(url).hostname or ""] = "127.0.0.1"
        headers = {
            **how.pop("headers", {}),
            **({"Authorization": f"token {token}"} if token else {}),
        }
        how.setdefault("request_timeout", 60)
        return HTTPRequest(
            url, ca_certs=self._certificate, headers=headers, follow_redirects=False, **how
        )

    async def ask(self, where: str, token: str = "", **how: Any) -> HTTPResponse:
        """Ask for a URL, or a path of the service."""
        url = where if where.startswith("https:") else self.root + where
        request = self._request(url, token, **how)
        return await self._client.fetch(request, raise_error=False)

    async def run(self, home: str, token: str, code: str) -> str:
        """Run code in a new kernel; return what it printed, up to the end of a line."""
        answer = await self.ask(f"{home}api/kernels", token, method="POST", body="{}")
        assert answer.code == 201, answer.body
        url = f"{home}api/kernels/{json.loads(answer.body)['id']}/channels"
        request = self._request(url.replace("https", "wss", 1), token)
        resolver = OverrideResolver(resolver=Resolver(), mapping=self._names)
        socket = await websocket_connect(request, resolver=resolver)
        printed = await kernels.run(socket, code)
        socket.close()
        return printed

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory with a short name, as sockets in it have a limit."""
    made = Path(tempfile.mkdtemp(prefix="front-"))
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("with_hosts", [False, True], ids=["one-host", "subdomains"])
@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.program)
async def test_a_whole_visit_goes_through(front: Front, with_hosts: bool, directory: Path) -> None:
    [port] = free_ports(1)
    flags = ["--spawner=local", "--pool-size=1", f"--public-url=https://{NAME}:{port}"]
    flags += [f"--subdomains={NAME}"] if with_hosts else []
    async with serving(*flags) as service:
        place = Place(directory, port, service.visitors, with_hosts)
        async with running(front, place):
            visitors = Visitors(place)
            try:
                await service.until_ready(1)
                taken = await take(visitors)
                host = f"{taken['id']}.{NAME}" if with_hosts else NAME
                assert taken["base_url"] == f"https://{host}:{port}/user/{taken['id']}/"
                await visit(visitors, taken["base_url"], taken["token"])
                await take_away(visitors, taken["id"], taken["token"])
                await wait_in_line(visitors, f"/api/servers/{taken['id']}", taken["token"])
                token = uuid.uuid4().hex
                await service.stop()
                answer = await visitors.ask(
                    f"/user/x/lab?token={token}", headers={"Referer": token}
                )
                assert answer.code in {502, 503}
            finally:
                visitors.close()
    no_log_has(directory, token)


async def take(visitors: Visitors) -> dict[str, Any]:
    answer = await visitors.ask("/api/spawn", method="POST", body="")
    assert answer.code == 200, answer.body
    return dict(json.loads(answer.body))


async def visit(visitors: Visitors, home: str, token: str) -> None:
    """Open the page, run a cell, save a large file."""
    page = await visitors.ask(f"{home}lab?token={token}")
    assert page.code == 200, page.body
    assert await visitors.run(home, token, "print(6 * 7)") == "42\n"

    body = json.dumps({"type": "file", "format": "base64", "content": SENT})
    kept = await visitors.ask(f"{home}api/contents/large.bin", token, method="PUT", body=body)
    assert kept.code == 201, kept.body


async def take_away(visitors: Visitors, server: str, token: str) -> None:
    """Download all files, the large one among them."""
    whole = await visitors.ask(f"/session/{server}/files.zip", token)
    assert whole.code == 200, whole.body
    with zipfile.ZipFile(io.BytesIO(whole.body)) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("large.bin")]
        assert base64.b64encode(archive.read(name)).decode() == SENT


async def wait_in_line(visitors: Visitors, server: str, token: str) -> None:
    """Wait behind the one who has the only server, until that is given back."""
    full = await visitors.ask("/spawn", method="POST", body="", headers=JSON)
    assert full.code == 503, full.body
    told: list[bytes] = []
    path = f"/wait/{json.loads(full.body)['ticket']}"
    stream = asyncio.ensure_future(
        visitors.ask(path, streaming_callback=told.append, request_timeout=120)
    )
    await until_true(lambda: b'"position": 1' in b"".join(told), "the place is told at once")
    assert not stream.done()
    assert (await visitors.ask(server, token, method="DELETE")).code == 204
    assert (await stream).code == 200
    assert b"event: turn" in b"".join(told)


def no_log_has(directory: Path, token: str) -> None:
    """See that the request is in the log, and what was secret in it is not."""
    own = {".pem", ".conf", ".cfg"}
    files = [f for f in directory.rglob("*") if f.is_file() and f.suffix not in own]
    said = {file.name: file.read_text(errors="replace") for file in files}
    assert any("/user/x/lab" in text for text in said.values()), said
    assert not any(token in text for text in said.values()), said


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.program)
def test_a_wrong_configuration_is_seen(front: Front, directory: Path) -> None:
    """So the check of the others says something."""
    broken = Front(
        front.program,
        front.file,
        lambda place: [*front.changes(place), ("127.0.0.1:8000", "127.0.0.1:8000\n}\n")],
        front.check,
        front.run,
    )
    with pytest.raises(AssertionError):
        broken.written(Place(directory, *free_ports(2)))


def test_every_front_of_the_folder_is_tried() -> None:
    """What else lies in `deploy/` is tried by tests of its own."""
    others = {"engine-filter.cfg"}
    found = {file.name for file in (ROOT / "deploy").iterdir() if file.suffix in {".conf", ".cfg"}}
    found |= {file.name for file in (ROOT / "deploy").glob("Caddyfile*")}
    assert found - others == {front.file for front in FRONTS}
