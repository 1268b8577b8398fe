"""Requests that count as their client's: until they end, whichever way that is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest

from tests.support.raw_http import Request, exchange, parsed
from tests.support.running_site import Running
from tests.support.world import gate_of, wait_until
from tmpnb.access import limits as client_limits
from tmpnb.access.client_address import Client
from tmpnb.access.gate import Gate
from tmpnb.core.server import NotebookServer
from tmpnb.errors import DownloadBrokenError
from tmpnb.system.http import listen
from tmpnb.system.http.bounded_server import TOO_SLOW
from tmpnb.visitors.downloads import Send
from tmpnb.web.pages import gone
from tmpnb.web.pages.gone import UserHandler

pytestmark = pytest.mark.gen_test(timeout=20)

ADDRESS = "203.0.113.9"
OURS = (b"X-Forwarded-For", ADDRESS.encode())
HALF_A_SAVE = (
    b"PUT /user/Ab12Cd34Ef56/api/contents/a.ipynb HTTP/1.1\r\nHost: site.example\r\n"
    b"X-Forwarded-For: %s\r\n%%s\r\n\r\n%%s" % ADDRESS.encode()
)
WITH_LENGTH = HALF_A_SAVE % (b"Content-Length: 10", b"12345")
NO_CHUNK = HALF_A_SAVE % (b"Transfer-Encoding: chunked", b"no chunk\r\n")


STATUS_OF_SHORT = {
    "/": 200,
    "/info": 200,
    "/stats": 200,
    "/health": 200,
    "/static/tmpnb.css": 200,
    "/session/<id>": 403,
    "/api/servers/<id>": 200,
    "/user/Ab12Cd34Ef56/lab": 404,
    "/nothing": 404,
}
LONG = [
    (b"GET", "/spawn"),
    (b"POST", "/spawn/a.ipynb"),
    (b"POST", "/spawn/user/<id>"),
    (b"POST", "/api/spawn?wait=60"),
    (b"GET", "/wait/nobody"),
    (b"GET", "/session/<id>/files.zip"),
    (b"POST", "/session/<id>/files.zip"),
]


class Counting:
    """A site whose gate counts, and how many requests it has noted."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = gate_of(running.world.orchestrator, clock=running.world.clock, servers=100)
        self.gate: Gate = gate
        self.noted = 0
        asks = gate.limits.asks

        def noting(client: object) -> None:
            asks(client)  # type: ignore[arg-type]
            self.noted += 1

        monkeypatch.setattr(gate.limits, "asks", noting)
        port = urlsplit(running.serve_public(gate=gate)).port
        assert port is not None
        self.port = port

    async def is_over(self) -> None:
        await wait_until(lambda: not self.gate.limits._asking, "nothing is under way")


@pytest.fixture
def counting(running: Running, monkeypatch: pytest.MonkeyPatch) -> Counting:
    """With a handler among them whose body comes while it counts, as none does by itself."""
    monkeypatch.setattr(UserHandler, "lasting", frozenset({"PUT"}))
    return Counting(running, monkeypatch)


async def test_what_holds_nothing_neither_counts_nor_is_refused(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one person would lock out all who share an address, with a few bodies that drip."""
    monkeypatch.setattr(client_limits, "LEAST_AT_ONCE", 1)
    monkeypatch.setattr(client_limits, "TIMES_SERVERS", 0)
    counting = Counting(running, monkeypatch)
    limits, server = counting.gate.limits, await running.world.orchestrator.claims.claim()
    limits.asks(Client(ip_address(ADDRESS)))
    writers = []
    for _ in range(3):
        _, writer = await asyncio.open_connection("127.0.0.1", counting.port)
        writer.write(WITH_LENGTH)
        writers.append(writer)
    token = (b"Authorization", b"token " + running.world.orchestrator.token_for(server.id).encode())
    for path, status in STATUS_OF_SHORT.items():
        target = path.replace("<id>", server.id).encode()
        answer = parsed(await exchange(counting.port, Request(b"GET", target, [OURS, token])))
        assert answer is not None
        assert (path, answer.status) == (path, status)
    for method, path in LONG:
        target = path.replace("<id>", server.id).encode()
        answer = parsed(await exchange(counting.port, Request(method, target, [OURS, token])))
        assert answer is not None
        assert (path, answer.status) == (path, 429)
    assert limits._asking == {ADDRESS: 1}
    for writer in writers:
        writer.close()


async def test_a_body_that_breaks_off_ends_what_it_counted_for(counting: Counting) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", counting.port)
    writer.write(WITH_LENGTH)
    await wait_until(lambda: counting.noted == 1)
    writer.close()
    await counting.is_over()


async def test_so_do_one_that_is_malformed_and_one_that_takes_too_long(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gone, "SLOWEST_SAVE", 0.1)
    for sent in (NO_CHUNK, WITH_LENGTH):
        reader, writer = await asyncio.open_connection("127.0.0.1", counting.port)
        writer.write(sent)
        assert b" 200 " not in await reader.read(), "it hangs up"
        writer.close()
        await counting.is_over()
    assert counting.noted == 2


async def test_so_does_one_that_makes_place_for_another(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener ends the oldest."""
    monkeypatch.setattr(UserHandler, "lasting", frozenset({"PUT"}))
    serve = listen.server
    monkeypatch.setattr(listen, "server", lambda application: serve(application, open_files=2))
    counting = Counting(running, monkeypatch)
    reader, writer = await asyncio.open_connection("127.0.0.1", counting.port)
    writer.write(WITH_LENGTH)
    await wait_until(lambda: counting.noted == 1)
    await exchange(counting.port, Request(b"GET", b"/health"))
    assert await reader.read() == TOO_SLOW
    writer.close()
    await counting.is_over()


async def test_a_large_save_of_a_full_address_is_answered(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal while the body comes would end the connection, and nobody would read it."""
    monkeypatch.setattr(client_limits, "LEAST_AT_ONCE", 1)
    monkeypatch.setattr(client_limits, "TIMES_SERVERS", 0)
    counting = Counting(running, monkeypatch)
    counting.gate.limits.asks(Client(ip_address(ADDRESS)))
    body = b"x" * (4 * listen.LARGEST_BODY)
    path = b"/user/Ab12Cd34Ef56/api/contents/a.ipynb"
    answer = parsed(await exchange(counting.port, Request(b"PUT", path, [OURS], body)))
    assert answer is not None
    assert answer.status == 410
    assert b"server_ended" in answer.body


class BreakingDownloads:
    """Half an archive, and the server is gone."""

    def place(self, server: NotebookServer) -> nullcontext[None]:
        return nullcontext()

    async def pack(self, server: NotebookServer, send: Send) -> None:
        await send(b"half")
        raise DownloadBrokenError("the notebook server does not answer")


async def broken_archive(running: Running, port: int) -> bytes:
    orchestrator = running.world.orchestrator
    server = await orchestrator.claims.claim()
    running.pretend_downloads(BreakingDownloads())
    token = orchestrator.token_for(server.id).encode()
    headers = [OURS, (b"Authorization", b"token " + token)]
    return await exchange(
        port, Request(b"GET", f"/session/{server.id}/files.zip".encode(), headers)
    )


async def error_in_prepare(running: Running, port: int) -> bytes:
    return await exchange(port, Request(b"POST", b"/spawn/user/no-id-of-ours", [OURS]))


async def unknown_method(running: Running, port: int) -> bytes:
    return await exchange(port, Request(b"BREW", b"/spawn", [OURS]))


@pytest.mark.parametrize(
    ("send", "said"),
    [
        (broken_archive, b"half"),
        (error_in_prepare, b" 404 "),
        (unknown_method, b" 405 "),
    ],
)
async def test_what_ends_otherwise_than_well_counts_no_more(
    running: Running,
    counting: Counting,
    send: Callable[[Running, int], Awaitable[bytes]],
    said: bytes,
) -> None:
    assert said in await send(running, counting.port)
    await counting.is_over()
    assert counting.noted == (said != b" 405 "), "a method that nobody knows is not looked at"
