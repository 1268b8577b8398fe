"""What servers say of their use: asked beside the passes, one look at a time, shared by all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from tests.support.world import KEY, FakeClock, wait_until
from tmpnb.core.observation import Observation
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.orchestrator.culling import usage as module
from tmpnb.orchestrator.culling.usage import (
    FRESH,
    JUDGED,
    MISSES,
    MOST_TOLD_ANEW,
    Known,
    Usage,
)
from tmpnb.system.http.client import Client
from tmpnb.system.signing import TokenMaker
from tmpnb.system.tasks import Tasks

pytestmark = pytest.mark.gen_test(timeout=20)

MAX_IDLE = 600.0
USED = "2001-09-09T01:46:40+00:00"  # Unix time 1e9
NOTHING_SEEN = {"instances": {}, "routes": {}}


class Site:
    """What servers answer, by id, and what they were asked."""

    def __init__(self) -> None:
        self.hung: set[str] = set()
        self.dumb: set[str] = set()  # answer something else
        self.asked: list[str] = []
        self.go_on = asyncio.Event()


class Anything(RequestHandler):
    def initialize(self, site: Site) -> None:
        self.site = site

    async def get(self, server_id: str, path: str) -> None:
        self.site.asked.append(f"{server_id} {path}")
        if server_id in self.site.hung:
            await self.site.go_on.wait()
        known = {"status": json.dumps({"last_activity": USED}), "kernels": "[]"}
        if server_id in self.site.dumb or path not in known:
            self.set_status(404)
            return
        self.finish(known[path])


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def app(site: Site) -> Application:
    return Application(
        [(r"/user/(\w+)/(?:api/)?(.*)", Anything, {"site": site})], log_function=lambda _: None
    )


class Asked:
    """A `Usage` over some servers that visitors have had for long."""

    def __init__(self, client: Client, tasks: Tasks, url: str, *server_ids: str) -> None:
        self.clock = FakeClock(1e9)
        long_ago = self.clock.now - 2 * MAX_IDLE
        self.servers = {i: NotebookServer(i, long_ago, Phase.CLAIMED) for i in server_ids}
        for server in self.servers.values():
            server.address = url
        self.judged = 0
        self.usage = Usage(
            client=client,
            tokens=TokenMaker(KEY),
            clock=self.clock,
            tasks=tasks,
            max_idle=MAX_IDLE,
            live=self.servers.get,
        )

    async def look(self) -> None:
        await self.usage.look(self.servers.values(), self.judge)

    def judge(self) -> None:
        self.judged += 1

    def seen(self) -> Observation:
        return self.usage.added_to(Observation(self.clock.now, **NOTHING_SEEN))


@asynccontextmanager
async def asked(client: Client, url: str, *server_ids: str) -> AsyncIterator[Asked]:
    async with Tasks() as tasks:
        yield Asked(client, tasks, url, *server_ids)
        tasks.cancel_all()


async def test_a_server_that_stalls_holds_few_who_want_to_know(
    client: Client, http_server: HTTPServer, base_url: str, site: Site
) -> None:
    async with asked(client, base_url, "a", "b") as it:
        site.hung.add("a")
        known = await it.usage.of(it.servers["b"])
        wait = [asyncio.ensure_future(it.usage.of(it.servers["a"])) for _ in range(MOST_TOLD_ANEW)]
        await wait_until(lambda: "a status" in site.asked)
        assert (await it.usage.of(it.servers["a"])).last_use is None, "at once"
        assert not any(task.done() for task in wait)
        assert await it.usage.of(it.servers["b"]) == known, "others are told as ever"
        site.go_on.set()
        assert {a.last_use for a in await asyncio.gather(*wait)} == {1e9}
        it.clock.advance(FRESH + 1)
        assert (await it.usage.of(it.servers["a"])).asked_at > known.asked_at, "they wait no more"


async def test_all_who_want_to_know_share_one_look(
    client: Client, http_server: HTTPServer, base_url: str, site: Site
) -> None:
    async with asked(client, base_url, "a") as it:
        site.hung.add("a")
        many = [asyncio.ensure_future(it.usage.of(it.servers["a"])) for _ in range(12)]
        looking = asyncio.ensure_future(it.look())
        await wait_until(lambda: site.asked)
        site.go_on.set()
        answers = await asyncio.gather(*many)
        await looking
        assert {a.last_use for a in answers} == {1e9}
        assert site.asked.count("a status") == 1


async def test_what_was_said_is_remembered_for_a_moment(
    client: Client, http_server: HTTPServer, base_url: str, site: Site
) -> None:
    async with asked(client, base_url, "a") as it:
        await it.usage.of(it.servers["a"])
        await it.usage.of(it.servers["a"])
        assert site.asked.count("a status") == 1
        it.clock.advance(FRESH + 1)
        await it.usage.of(it.servers["a"])
        assert site.asked.count("a status") == 2


async def test_those_that_answer_are_judged_without_the_one_that_hangs(
    client: Client,
    http_server: HTTPServer,
    base_url: str,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PROMPT", 0.2)
    async with asked(client, base_url, "a", "b") as it:
        site.hung.add("b")
        looking = asyncio.ensure_future(it.look())
        await wait_until(lambda: it.judged == 1)
        assert dict(it.seen().activity) == {"a": 1e9}
        assert not it.seen().silent
        site.go_on.set()
        await looking
        assert it.judged == 2
        assert dict(it.seen().activity) == {"a": 1e9, "b": 1e9}


async def test_who_has_answered_is_judged_while_others_hold_the_questions_up(
    client: Client,
    http_server: HTTPServer,
    base_url: str,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PROMPT", 0.1)
    monkeypatch.setattr(module, "JUDGED", 0.2)
    async with asked(client, base_url, "a", "b") as it:
        site.hung.add("b")
        looking = asyncio.ensure_future(it.look())
        await wait_until(lambda: it.judged >= 3)
        site.go_on.set()
        await looking


async def test_no_server_at_all_is_a_judgement_too(
    client: Client, http_server: HTTPServer, base_url: str
) -> None:
    async with asked(client, base_url) as it:
        await it.look()
        assert it.judged == 1


async def test_what_was_said_long_before_judges_nobody(
    client: Client, http_server: HTTPServer, base_url: str
) -> None:
    async with asked(client, base_url, "a") as it:
        await it.look()
        it.clock.advance(JUDGED + 1)
        assert not it.seen().activity


async def test_only_who_never_tells_counts_as_silent(
    client: Client, http_server: HTTPServer, base_url: str, site: Site
) -> None:
    async with asked(client, base_url, "a", "b") as it:
        site.dumb |= {"a", "b"}
        for _ in range(MISSES - 1):
            await it.look()
        assert not it.seen().silent
        site.dumb.discard("b")
        await it.look()
        assert it.seen().silent == {"a"}
        site.dumb = {"b"}
        await it.look()
        assert not it.seen().silent, "a word counts anew"
        assert it.usage.hung() == 0, "they answer"


async def test_one_that_hangs_is_counted_at_the_second_time(
    client: Client, base_url: str, http_server: HTTPServer
) -> None:
    http_server.stop()
    async with asked(client, base_url, "a", "b") as it:
        await it.look()
        assert it.usage.hung() == 0
        await it.look()
        assert it.usage.hung() == 2
        assert (await it.usage.of(it.servers["a"])).answered is False
        del it.servers["b"]
        await it.look()
        assert it.usage.hung() == 1, "nobody has it any more"


async def test_a_server_of_a_new_visitor_is_asked_only_whether_it_answers(
    client: Client, http_server: HTTPServer, base_url: str, site: Site
) -> None:
    async with asked(client, base_url, "a") as it:
        it.servers["a"].since = it.clock.now
        await it.look()
        assert site.asked == ["a status"]
        assert not it.seen().activity
        assert not it.seen().silent


async def test_what_a_server_said_that_has_ended_is_forgotten(
    client: Client, http_server: HTTPServer, base_url: str, site: Site
) -> None:
    async with asked(client, base_url, "a") as it:
        site.hung.add("a")
        asking = asyncio.ensure_future(it.usage.of(it.servers["a"]))
        await wait_until(lambda: site.asked)
        del it.servers["a"]
        site.go_on.set()
        assert (await asking) == Known(it.clock.now)
        assert not it.seen().activity
