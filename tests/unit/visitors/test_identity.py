"""One server for one visitor: by a signed cookie, and by memory where the cookie is too slow."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.world import KEY
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.errors import PoolEmptyError
from tmpnb.system.signing import TokenMaker
from tmpnb.visitors.identity import Visitor, Visitors

pytestmark = pytest.mark.gen_test(timeout=20)


class Servers:
    """Live servers by id, and how many were taken."""

    def __init__(self) -> None:
        self.live: dict[str, NotebookServer] = {}
        self.visitors = Visitors(TokenMaker(KEY), self.live.get)

    async def take(self) -> NotebookServer:
        await asyncio.sleep(0)
        server = NotebookServer(f"s{len(self.live)}", 0.0, Phase.CLAIMED)
        self.live[server.id] = server
        return server


async def test_who_comes_again_gets_the_same_server_also_after_a_restart() -> None:
    servers = Servers()
    visitor = servers.visitors.read(None)
    server = await servers.visitors.server_for(visitor, servers.take)
    cookie = servers.visitors.write(servers.visitors.note(visitor, server.id))
    after = Visitors(TokenMaker(KEY), servers.live.get)
    for visitors in (servers.visitors, after):
        assert await visitors.server_for(visitors.read(cookie), servers.take) is server
    assert len(servers.live) == 1


async def test_tabs_opened_at_once_get_one_server() -> None:
    servers = Servers()
    visitor = servers.visitors.read(None)
    given = await asyncio.gather(
        *(servers.visitors.server_for(visitor, servers.take) for _ in range(10))
    )
    assert len({server.id for server in given}) == 1


async def test_a_claim_that_fails_leaves_the_way_open_for_the_next_tab() -> None:
    servers = Servers()
    visitor = servers.visitors.read(None)

    async def refuse() -> NotebookServer:
        await asyncio.sleep(0)
        raise PoolEmptyError("none")

    tabs = await asyncio.gather(
        servers.visitors.server_for(visitor, refuse),
        servers.visitors.server_for(visitor, servers.take),
        return_exceptions=True,
    )
    assert isinstance(tabs[0], PoolEmptyError)
    assert tabs[1] is servers.live["s0"]


async def test_a_server_that_has_ended_is_replaced() -> None:
    servers = Servers()
    visitor = servers.visitors.read(None)
    first = await servers.visitors.server_for(visitor, servers.take)
    servers.live[first.id] = None  # type: ignore[assignment]  # as `live` answers then
    assert await servers.visitors.server_for(visitor, servers.take) is not first


@pytest.mark.parametrize(
    "cookie",
    [None, "", ".", "..", "x", "key.server.signature", "key.server." + "0" * 64, "é.é.é"],
)
def test_a_cookie_that_is_not_ours_makes_a_stranger(cookie: str | None) -> None:
    visitor = Servers().visitors.read(cookie)
    assert visitor.server_id == ""
    assert len(visitor.key) > 20


def test_a_cookie_cannot_be_turned_to_another_server() -> None:
    visitors = Servers().visitors
    key, _, signature = visitors.write(Visitor("key", "mine")).split(".")
    assert visitors.read(f"{key}.mine.{signature}") == Visitor("key", "mine")
    assert visitors.read(f"{key}.yours.{signature}").server_id == ""


def test_a_cookie_of_another_key_is_not_ours() -> None:
    cookie = Visitors(TokenMaker(b"another key, not ours"), {}.get).write(Visitor("key", "mine"))
    assert Servers().visitors.read(cookie).server_id == ""


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmpnb.visitors.identity.REMEMBERED", 3)
    servers = Servers()
    for number in range(10):
        servers.visitors.note(Visitor(f"k{number}"), "s")
        servers.visitors.note_ticket(Visitor(f"k{number}"), "t")
    assert len(servers.visitors._latest) == len(servers.visitors._tickets) == 3
