"""A ticket or a token opens what it stands for, and never what its holder has later."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.callers import FORM, Caller, Left, slow_kinds, slow_routes
from tests.support.running_site import SCRIPT, Fetch, Running
from tests.support.world import gate_of, wait_until
from tmpnb.core.server import NotebookServer, Phase
from tmpnb.orchestrator.claims.line import GRACE

pytestmark = pytest.mark.gen_test(timeout=30)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Left:
    return Left(monkeypatch)


class Browser:
    """One browser that keeps cookies, unless it is told not to."""

    def __init__(self, fetch: Fetch, *, cookies: bool = True) -> None:
        self._fetch, self._keeps = fetch, cookies
        self.cookie: dict[str, str] = {}
        self.told: Any = None

    async def post(self, path: str = "/spawn", **form: Any) -> HTTPResponse:
        headers = SCRIPT | FORM | self.cookie
        answer = await self._fetch(path, method="POST", headers=headers, body=urlencode(form))
        self.told = json.loads(answer.body)
        if self._keeps and "Set-Cookie" in answer.headers:
            self.cookie = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
        return answer

    @property
    def server_id(self) -> str:
        return str(self.told["url"].split("/")[2])


async def fill(running: Running) -> list[NotebookServer]:
    await running.world.until_ready(3)
    return [await running.world.orchestrator.claims.claim() for _ in range(3)]


async def end(running: Running, server_id: str) -> None:
    server = running.world.orchestrator.claims.live(server_id)
    assert server is not None
    running.world.orchestrator.claims.close(server)
    await running.world.until_gone(server_id)
    await wait_until(lambda: len(running.world.servers(Phase.READY)) >= 1)


async def in_line(running: Running, *browsers: Browser) -> None:
    for browser in browsers:
        assert (await browser.post()).code == 503


def waiting(running: Running) -> int:
    return running.world.orchestrator.claims.waiting


def live(running: Running, server_id: str) -> bool:
    return running.world.orchestrator.claims.live(server_id) is not None


async def test_who_reopens_by_the_same_token_shares_nothing_else(running: Running) -> None:
    fetch = running.public()
    first = Browser(fetch)
    await first.post()
    old_id = first.server_id
    token = running.world.orchestrator.token_for(old_id)
    await end(running, old_id)
    one, other = Browser(fetch), Browser(fetch)
    for browser in (one, other):
        await browser.post(f"/spawn/user/{old_id}", token=token)
        assert browser.server_id == old_id
    await end(running, old_id)
    await one.post()
    own = one.server_id
    await other.post()
    assert other.server_id != own
    await running.world.until_ready(1)
    await other.post(fresh=1)
    assert live(running, own)
    await end(running, own)
    await running.world.until_ready(2)
    await one.post(f"/spawn/user/{own}")
    assert one.server_id == own, "a browser that showed the token is known again by its cookie"


async def test_who_may_have_no_cookie_waits_for_the_old_address_with_its_token(
    running: Running,
) -> None:
    fetch = running.public()
    first = Browser(fetch)
    await first.post()
    old_id = first.server_id
    token = running.world.orchestrator.token_for(old_id)
    await end(running, old_id)
    others = await fill(running)
    framed = Browser(fetch, cookies=False)
    assert (await framed.post(f"/spawn/user/{old_id}", token=token)).code == 503
    ticket = framed.told["ticket"]
    running.world.orchestrator.claims.close(others[0])
    answer = await framed.post(f"/spawn/user/{old_id}", token=token, ticket=ticket, wait=20)
    assert answer.code == 200
    assert framed.server_id == old_id


async def test_a_ticket_of_the_past_opens_no_later_server(running: Running) -> None:
    fetch, others = running.public(), await fill(running)
    owner, other = Browser(fetch), Browser(fetch)
    await in_line(running, owner)
    ticket = owner.told["ticket"]
    await end(running, others[0].id)
    await owner.post(ticket=ticket, wait=20)
    served = owner.server_id
    await other.post(ticket=ticket)
    assert other.server_id == served, "while it lives, the ticket leads to it"
    await end(running, served)
    await owner.post()
    later = owner.server_id
    await end(running, others[1].id)
    await other.post(ticket=ticket)
    assert other.server_id != later
    await other.post(ticket=ticket, fresh=1)
    assert live(running, later)


async def test_a_browser_of_its_own_name_takes_none_from_a_ticket(running: Running) -> None:
    """Whoever plants a ticket is not led to what the other gets with it."""
    fetch, others = running.public(), await fill(running)
    planter, between, victim = Browser(fetch), Browser(fetch), Browser(fetch)
    await in_line(running, planter, between, victim)
    ticket, own = planter.told["ticket"], victim.told["ticket"]
    name = victim.cookie["Cookie"]
    await victim.post(ticket=ticket)
    assert (victim.told["ticket"], victim.told["position"]) == (own, 1)
    assert victim.cookie["Cookie"] == name
    assert waiting(running) == 2, "two places of one make one"
    await end(running, others[0].id)
    await victim.post(ticket=own, wait=20)
    served = victim.server_id
    assert (await planter.post(ticket=ticket)).code == 503
    assert (await between.post()).code == 503
    await end(running, others[1].id)
    await between.post(wait=20)
    assert between.server_id != served
    stranger = Browser(fetch)
    assert (await stranger.post(ticket=ticket)).code == 503
    assert live(running, served)


async def known_without_place(running: Running) -> Browser:
    """Return a browser that has a cookie, and neither server nor place, of a full service."""
    browser = Browser(running.public())
    await browser.post()
    await end(running, browser.server_id)
    await fill(running)
    return browser


async def test_who_has_no_place_gets_none_from_a_ticket(running: Running) -> None:
    comer, fetch = await known_without_place(running), running.public()
    holder, behind = Browser(fetch), Browser(fetch)
    await in_line(running, holder, behind)
    await comer.post(ticket=holder.told["ticket"])
    assert comer.told["position"] == 3
    await holder.post()
    await behind.post()
    assert (holder.told["position"], behind.told["position"]) == (1, 2)


async def test_a_place_that_was_set_aside_counts_for_limits_until_it_is_lost(
    running: Running,
) -> None:
    await fill(running)
    gate = gate_of(running.world.orchestrator, servers=2, clock=running.world.clock)
    fetch = running.public(gate=gate)
    one, other = Browser(fetch), Browser(fetch)
    await in_line(running, one, other)
    await one.post(ticket=other.told["ticket"])
    assert waiting(running) == 1
    assert (await Browser(fetch).post()).code == 429
    running.world.clock.advance(GRACE + 1)
    await one.post()
    assert (await Browser(fetch).post()).code == 503


async def test_a_ticket_opens_no_other_server_of_its_holder(running: Running) -> None:
    """They have one server, and wait in line for an address of the past."""
    owner = await known_without_place(running)
    old_id = owner.server_id
    token = running.world.orchestrator.token_for(old_id)
    running.world.orchestrator.claims.close(running.world.servers(Phase.CLAIMED)[0])
    await owner.post(wait=20)
    own = owner.server_id
    assert (await owner.post(f"/spawn/user/{old_id}", token=token)).code == 503
    ticket = owner.told["ticket"]
    for form in ({}, {"fresh": 1}):
        stranger = Browser(running.public())
        assert (await stranger.post(ticket=ticket, **form)).code == 503
        assert live(running, own)


async def test_a_ticket_of_the_past_opens_none_that_is_being_given(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, others = running.public(), await fill(running)
    owner = Browser(fetch)
    await in_line(running, owner)
    ticket = owner.told["ticket"]
    await end(running, others[0].id)
    await owner.post(ticket=ticket, wait=20)
    await end(running, owner.server_id)
    with slow_routes(running) as (reached, go):
        later = asyncio.create_task(owner.post())
        await reached.wait()
        stranger = Browser(fetch)
        shows = asyncio.create_task(stranger.post(ticket=ticket))
        await wait_until(lambda: len(running.site.visitors._asking) != 1 or shows.done())
        go.set()
        assert (await later).code == 200
        assert (await shows).code == 503


@pytest.mark.parametrize("drops_second", [True, False])
async def test_a_request_that_is_dropped_ends_no_server_that_another_is_led_to(
    running: Running, left: Left, monkeypatch: pytest.MonkeyPatch, drops_second: bool
) -> None:
    """Of a browser that keeps no cookie, while the server is asked what a path is."""
    others, site = await fill(running), running.serve_public()
    first = json.loads((await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)).body)
    asked, go = slow_kinds(monkeypatch)
    form = urlencode({"ticket": first["ticket"], "wait": 20})
    early = await Caller(site, "/spawn/tree/a.txt", SCRIPT | FORM, body=form).call()
    running.world.orchestrator.claims.close(others[0])
    await asked.wait()
    late = await Caller(site, "/spawn/tree/a.txt", SCRIPT | FORM, body=form).call()
    asking = running.site.visitors._asking
    await wait_until(lambda: sum(len(requests) for requests in asking.values()) == 2)
    dropped, stays = (late, early) if drops_second else (early, late)
    await dropped.hang_up(left)
    go.set()
    server_id = (await stays.body())["url"].split("/")[2]
    await wait_until(lambda: not asking)
    assert live(running, server_id)
    assert waiting(running) == 0


async def test_a_second_wish_to_start_afresh_is_met_by_the_first(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it comes while the new server is asked what a path is."""
    fetch, browser = running.public(), Browser(running.public())
    await browser.post()
    old = browser.server_id
    asked, go = slow_kinds(monkeypatch)
    again = Browser(fetch)
    again.cookie = browser.cookie
    one = asyncio.create_task(browser.post("/spawn/tree/a.txt", fresh=1))
    await asked.wait()
    other = asyncio.create_task(again.post("/spawn/tree/a.txt", fresh=1))
    asking = running.site.visitors._asking
    await wait_until(lambda: [len(requests) for requests in asking.values()] == [2])
    go.set()
    assert (await one).code == (await other).code == 200
    assert browser.server_id == again.server_id != old
    assert live(running, browser.server_id)
    assert running.taken == 2


async def test_who_has_a_server_reopens_none_without_the_passphrase(running: Running) -> None:
    browser = Browser(running.public())
    await browser.post()
    old_id = browser.server_id
    token = running.world.orchestrator.token_for(old_id)
    await end(running, old_id)
    await browser.post()
    gate = gate_of(running.world.orchestrator, passphrase="four plain words")
    browser._fetch = running.public(gate=gate)
    assert (await browser.post()).code == 200, "they come back to what they have"
    assert (await browser.post(f"/spawn/user/{old_id}", token=token)).code == 403
    assert not live(running, old_id)


async def test_a_place_whose_ticket_others_show_is_not_lost(running: Running) -> None:
    fetch = running.public()
    await fill(running)
    first, second, stranger = Browser(fetch), Browser(fetch), Browser(fetch)
    await in_line(running, first, second, stranger)
    await first.post(ticket=second.told["ticket"])
    assert first.told["position"] == 1
    await stranger.post()
    assert stranger.told["position"] == 2
    await second.post(ticket=second.told["ticket"])
    assert second.told["position"] == 2


async def test_a_tab_that_waits_meanwhile_keeps_the_one_place(running: Running) -> None:
    fetch, others = running.public(), await fill(running)
    one, other = Browser(fetch), Browser(fetch)
    await in_line(running, one, other, Browser(fetch))
    tickets = [one.told["ticket"], other.told["ticket"]]
    one.cookie = other.cookie  # two tabs of one browser
    late = asyncio.create_task(other.post(ticket=tickets[1], wait=20))
    _, place, _ = running.world.orchestrator.claims._room.line
    await wait_until(lambda: place.waits == 1)
    early = asyncio.create_task(one.post(ticket=tickets[0], wait=20))
    await wait_until(lambda: place.waits == 2)
    assert waiting(running) == 2
    for server in others[:2]:
        running.world.orchestrator.claims.close(server)
    assert (await late).code == (await early).code == 200
    assert one.server_id == other.server_id
    assert len(running.world.servers(Phase.CLAIMED)) == 2
