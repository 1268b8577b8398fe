"""Whoever hangs up takes nothing with them: no server of theirs, and no turn of others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from tests.support.callers import FORM, Caller, Left, slow_kinds, slow_routes
from tests.support.running_site import PERSON, SCRIPT, Running
from tests.support.world import gate_of, wait_until
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.orchestrator.claims.line import GRACE

pytestmark = pytest.mark.gen_test(timeout=30)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Left:
    return Left(monkeypatch)


def body(answer: HTTPResponse) -> Any:
    return json.loads(answer.body)


def cookie_of(answer: HTTPResponse) -> dict[str, str]:
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


def waiting(running: Running) -> int:
    return running.world.orchestrator.claims.waiting


def absent(running: Running) -> list[bool]:
    return [t.left for t in running.world.orchestrator.claims._room.line]


async def fill(running: Running) -> list[NotebookServer]:
    return [await running.world.orchestrator.claims.claim() for _ in range(3)]


async def cookie_of_one_known(running: Running, site: str) -> dict[str, str]:
    """Return the cookie of a visitor whose server has ended."""
    first = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)
    (server,) = running.world.servers(Phase.CLAIMED)
    running.world.orchestrator.claims.close(server)
    await running.world.until_ready(3)
    return cookie_of(first)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_dropped_request_never_stops_a_server_that_the_visitor_had(
    running: Running, left: Left, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    site = running.serve_public()
    first = await running.fetch(f"{site}/spawn/lab", "POST", headers=SCRIPT)
    asked, go = slow_kinds(monkeypatch)
    headers = PERSON | cookie_of(first)
    caller = await Caller(site, "/spawn/tree/a.txt", headers, method=method).call()
    await asked.wait()
    await caller.hang_up(left)
    go.set()
    again = await running.fetch(f"{site}/spawn/lab", "POST", headers=SCRIPT | cookie_of(first))
    assert body(again)["url"] == body(first)["url"]
    (server,) = running.world.servers(Phase.CLAIMED)
    assert server.id in body(first)["url"]


async def test_a_second_request_gets_the_server_of_one_that_hung_up(
    running: Running, left: Left
) -> None:
    site = running.serve_public()
    headers = SCRIPT | await cookie_of_one_known(running, site)
    taken = running.taken
    with slow_routes(running) as (reached, go):
        first = await Caller(site, "/spawn", headers).call()
        await reached.wait()
        (server,) = running.world.servers(Phase.CLAIMED)
        second = await Caller(site, "/spawn", headers).call()
        asking = running.site.visitors._asking
        await wait_until(lambda: [len(requests) for requests in asking.values()] == [2])
        await first.hang_up(left)
        go.set()
        assert server.id in (await second.body())["url"]
    assert server.phase is Phase.CLAIMED
    assert running.taken == taken + 1


async def test_a_server_that_all_who_asked_have_left_is_stopped(
    running: Running, left: Left
) -> None:
    site = running.serve_public()
    headers = SCRIPT | await cookie_of_one_known(running, site)
    with slow_routes(running) as (reached, go):
        callers = [await Caller(site, "/spawn", headers).call() for _ in range(3)]
        await reached.wait()
        (server,) = running.world.servers(Phase.CLAIMED)
        asking = running.site.visitors._asking
        await wait_until(lambda: [len(requests) for requests in asking.values()] == [3])
        for caller in callers:
            await caller.hang_up(left)
        go.set()
        await running.world.until_gone(server.id)
    assert server.reason is StopReason.ABANDONED
    assert not running.site.visitors._asking
    assert not running.site.visitors._unseen


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/spawn", 0),  # nobody could come back to their places
        ("/api/spawn?wait=60", 0),
        ("/spawn/user/{}/lab", 3),  # they can, by the token of the server that they had
    ],
)
async def test_those_who_hang_up_in_line_keep_nobody_from_a_server(
    running: Running, left: Left, path: str, kept: int
) -> None:
    site, others = running.serve_public(), await fill(running)
    headers = SCRIPT | FORM
    gone = []
    for server_id in (letter * 12 for letter in "abc"):
        asked = f"wait=20&token={running.world.orchestrator.token_for(server_id)}"
        gone.append(await Caller(site, path.format(server_id), headers, body=asked).call())
    await wait_until(lambda: waiting(running) == 3)
    live = await Caller(site, "/spawn", headers, body="wait=20").call()
    await wait_until(lambda: waiting(running) == 4)
    for caller in gone:
        await caller.hang_up(left)
    await wait_until(lambda: waiting(running) == 1 + kept)
    running.world.orchestrator.claims.close(others[0])
    assert "url" in await live.body()
    assert running.taken == 4
    assert all(s.reason is not StopReason.ABANDONED for s in running.world.pool.servers.values())


async def test_who_hangs_up_and_may_come_back_keeps_the_place_and_no_server(
    running: Running, left: Left
) -> None:
    site, others = running.serve_public(), await fill(running)
    first = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)
    headers = SCRIPT | cookie_of(first) | FORM
    away = await Caller(site, "/spawn", headers, body="wait=20").call()
    behind = await Caller(site, "/spawn", SCRIPT | FORM, body="wait=20").call()
    await wait_until(lambda: waiting(running) == 2)
    await away.hang_up(left)
    await wait_until(lambda: absent(running) == [True, False])
    running.world.orchestrator.claims.close(others[0])
    assert "url" in await behind.body()
    again = body(await running.fetch(f"{site}/spawn", "POST", headers=headers))
    assert again["position"] == 1
    assert again["ticket"] == body(first)["ticket"]
    newcomer = body(await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT))
    assert newcomer["position"] == 2


async def test_who_hangs_up_while_served_is_the_next_when_they_come_back(
    running: Running, left: Left
) -> None:
    site, others = running.serve_public(), await fill(running)
    first = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)
    behind = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)
    headers = SCRIPT | FORM | cookie_of(first)
    with slow_routes(running) as (reached, go):
        caller = await Caller(site, "/spawn", headers, body="wait=20").call()
        running.world.orchestrator.claims.close(others[0])
        await reached.wait()
        await caller.hang_up(left)
        go.set()
        await wait_until(lambda: not running.site.visitors._asking)
    again = await running.fetch(f"{site}/spawn", "POST", headers=headers)
    assert body(again).get("position", 1) == 1
    assert body(again).get("ticket") in (None, body(first)["ticket"])
    assert waiting(running) == (1 if again.code == 200 else 2)
    assert body(behind)["position"] == 2
    assert not running.site.arrivals.taking._redeemed or again.code == 503


async def test_a_closed_stream_of_events_keeps_no_server(running: Running, left: Left) -> None:
    site, others = running.serve_public(), await fill(running)
    first = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)
    stream = await Caller(site, f"/wait/{body(first)['ticket']}", {}, method="GET").call()
    line = running.world.orchestrator.claims._room.line
    await wait_until(lambda: [t.waits > 0 for t in line] == [True])
    await stream.hang_up(left)
    await wait_until(lambda: absent(running) == [True])
    running.world.orchestrator.claims.close(others[0])
    await running.world.until_ready(1)
    newcomer = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)
    assert newcomer.code == 200
    running.world.clock.advance(GRACE + 1)
    lost = body(await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT | cookie_of(first)))
    assert lost["ticket"] != body(first)["ticket"]


async def test_a_reload_during_the_long_poll_keeps_place_and_server(
    running: Running, left: Left
) -> None:
    """As a frame does it that may keep no cookie."""
    site, others = running.serve_public(), await fill(running)
    first = body(await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT))
    form = f"ticket={first['ticket']}&wait=20"
    before = await Caller(site, "/spawn", SCRIPT | FORM, body=form).call()
    line = running.world.orchestrator.claims._room.line
    await wait_until(lambda: [t.waits for t in line] == [1])
    after = await Caller(site, "/spawn", SCRIPT | FORM, body=form).call()
    await wait_until(lambda: [t.waits for t in line] == [2])
    await before.hang_up(left)
    running.world.orchestrator.claims.close(others[0])
    assert "url" in await after.body()
    assert running.taken == 4
    assert waiting(running) == 0


async def test_a_reload_while_the_server_is_handed_over_leads_to_it(
    running: Running, left: Left
) -> None:
    site, others = running.serve_public(), await fill(running)
    first = body(await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT))
    form = f"ticket={first['ticket']}&wait=20"
    with slow_routes(running) as (reached, go):
        before = await Caller(site, "/spawn", SCRIPT | FORM, body=form).call()
        running.world.orchestrator.claims.close(others[0])
        await reached.wait()
        after = await Caller(site, "/spawn", SCRIPT | FORM, body=form).call()
        asking = running.site.visitors._asking
        await wait_until(lambda: [len(requests) for requests in asking.values()] == [2])
        await before.hang_up(left)
        go.set()
        assert "url" in await after.body()
    assert running.taken == 4
    assert len(running.world.servers(Phase.CLAIMED)) == 3


async def test_who_hangs_up_while_starting_afresh_keeps_the_one_they_know(
    running: Running, left: Left
) -> None:
    site = running.serve_public()
    first = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)
    (own,) = running.world.servers(Phase.CLAIMED)
    with slow_routes(running) as (reached, go):
        headers = SCRIPT | FORM | cookie_of(first)
        caller = await Caller(site, "/spawn", headers, body="fresh=1").call()
        await reached.wait()
        (new,) = (s for s in running.world.servers(Phase.CLAIMED) if s is not own)
        await caller.hang_up(left)
        go.set()
        await running.world.until_gone(new.id)
    assert new.reason is StopReason.ABANDONED
    assert own.phase is Phase.CLAIMED
    again = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT | cookie_of(first))
    assert body(again)["url"] == body(first)["url"]


async def test_a_server_is_no_orphan_of_a_request_that_led_elsewhere(
    running: Running, left: Left
) -> None:
    """The first request is dropped, and the second of the same visitor opens an old address."""
    site = running.serve_public()
    cookie = await cookie_of_one_known(running, site)
    old_id = next(iter(cookie.values())).split(".")[-2]
    with slow_routes(running) as (reached, go):
        dropped = await Caller(site, "/spawn", SCRIPT | cookie).call()
        await reached.wait()
        (orphan,) = running.world.servers(Phase.CLAIMED)
        reopens = await Caller(site, f"/spawn/user/{old_id}/lab", SCRIPT | cookie).call()
        asking = running.site.visitors._asking
        await wait_until(lambda: [len(requests) for requests in asking.values()] == [2])
        await dropped.hang_up(left)
        go.set()
        assert old_id in (await reopens.body())["url"]
    await running.world.until_gone(orphan.id)
    assert [server.id for server in running.world.servers(Phase.CLAIMED)] == [old_id]
    assert not running.site.visitors._unseen


async def test_a_place_counts_again_for_who_hung_up_at_their_turn(
    running: Running, left: Left
) -> None:
    others = await fill(running)
    gate = gate_of(running.world.orchestrator, servers=1, clock=running.world.clock)
    site = running.serve_public(gate=gate)
    first = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)
    headers = SCRIPT | FORM | cookie_of(first)
    with slow_routes(running) as (reached, go):
        caller = await Caller(site, "/spawn", headers, body="wait=20").call()
        running.world.orchestrator.claims.close(others[0])
        await reached.wait()
        await caller.hang_up(left)
        go.set()
        await wait_until(lambda: not running.site.visitors._asking)
    assert waiting(running) == 1
    refused = await running.fetch(f"{site}/spawn", "POST", headers=SCRIPT)
    assert refused.code == 429
