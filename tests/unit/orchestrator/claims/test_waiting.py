"""The line: first come, first served, and nobody loses a place by a reload."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from tests.support.world import FakeClock, World, wait_until
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import LineFullError, PoolEmptyError, ProxyError, TicketError
from tmpnb.orchestrator.claims.line import GRACE, Line
from tmpnb.system.http.presence import Presence

pytestmark = pytest.mark.gen_test(timeout=30)


async def take_in_turn(world: World, order: list[str], ticket_id: str | None = None) -> str:
    """Wait as a visitor does, to the end; note in `order` who was served."""
    claims = world.orchestrator.claims
    ticket = claims.queue() if ticket_id is None else claims.ticket(ticket_id)
    assert ticket is not None
    while True:
        if await claims.until_turn(ticket, 20, Presence()):
            try:
                server = await claims.claim_in_turn(ticket)
            except PoolEmptyError:
                continue
            order.append(ticket.id)
            return server.id


class TestLine:
    def test_places_are_given_in_order_and_move_up(self) -> None:
        line = Line(FakeClock(), longest=10)
        first, second, third = line.join(), line.join(), line.join()
        assert [line.position(t) for t in (first, second, third)] == [1, 2, 3]
        line.admit(first)
        line.leave(second.id)
        assert line.position(third) == 1

    def test_who_is_away_for_too_long_loses_the_place(self) -> None:
        clock = FakeClock()
        line = Line(clock, longest=10)
        away, waiting = line.join(), line.join()
        line.arrive(waiting)
        clock.advance(GRACE - 1)
        assert line.position(away) == 1
        clock.advance(2)
        assert line.find(away.id) is None
        with pytest.raises(TicketError):
            line.position(away)
        assert line.position(waiting) == 1

    def test_who_waits_in_two_tabs_stays_while_one_is_open(self) -> None:
        clock = FakeClock()
        line = Line(clock, longest=10)
        ticket = line.join()
        line.arrive(ticket)
        line.arrive(ticket)
        line.depart(ticket)
        clock.advance(GRACE * 2)
        assert line.find(ticket.id) is ticket

    def test_behind_one_who_has_hung_up_it_is_the_turn_of_the_next(self) -> None:
        line = Line(FakeClock(), longest=10)
        away, behind = line.join(), line.join()
        line.arrive(away)
        line.depart(away, left=True)
        assert line.present == 1
        assert line.is_among(behind, 1)
        assert [line.position(t) for t in (away, behind)] == [1, 2]
        line.arrive(away)
        assert line.present == 2
        assert not line.is_among(behind, 1)
        assert line.is_among(away, 1)

    def test_one_tab_that_is_closed_does_not_speak_for_another(self) -> None:
        line = Line(FakeClock(), longest=10)
        ticket = line.join()
        line.arrive(ticket)
        line.arrive(ticket)
        line.depart(ticket, left=True)
        assert line.present == 1

    def test_it_has_an_end(self) -> None:
        line = Line(FakeClock(), longest=2)
        line.join()
        line.join()
        with pytest.raises(LineFullError):
            line.join()

    def test_the_pace_is_that_of_late_and_there_is_none_before_two(self) -> None:
        clock = FakeClock()
        line = Line(clock, longest=10)
        assert line.pace() is None
        for _ in range(4):
            line.admit(line.join())
            clock.advance(30)
        assert line.pace() == pytest.approx(30, abs=1)


async def test_fifty_visitors_on_a_pool_of_ten_are_all_served_in_order_each_once() -> None:
    async with World(10, interval=60).running() as world:
        await world.until_ready(10)
        order: list[str] = []
        given = [(await world.orchestrator.claims.claim()).id for _ in range(10)]
        waiting = [asyncio.create_task(take_in_turn(world, order)) for _ in range(40)]
        await wait_until(lambda: world.orchestrator.claims.waiting == 40)
        tickets = [ticket.id for ticket in world.orchestrator.claims._room.line]
        for _ in range(40):
            leaving = world.servers(Phase.CLAIMED)[0]
            served = len(order)
            world.orchestrator.claims.close(leaving)
            await wait_until(lambda served=served: len(order) == served + 1)
        given += await asyncio.gather(*waiting)
        assert order == tickets
        assert len(set(given)) == 50


async def test_nobody_overtakes_one_who_reloads() -> None:
    async with World(1, interval=60).running() as world:
        await world.until_ready(1)
        claims = world.orchestrator.claims
        first = await claims.claim()
        reloading, behind = claims.queue(), claims.queue()
        assert not await claims.until_turn(reloading, 0, Presence())  # the page closes
        claims.close(first)
        await world.until_ready(1)
        assert not await claims.until_turn(behind, 0, Presence())
        with pytest.raises(PoolEmptyError):
            await claims.claim_in_turn(behind)
        with pytest.raises(PoolEmptyError):
            await claims.claim()
        assert await claims.until_turn(reloading, 0, Presence())  # and is there again
        assert (await claims.claim_in_turn(reloading)).phase is Phase.CLAIMED


async def test_place_of_one_who_left_goes_to_the_next() -> None:
    async with World(1, interval=60).running() as world:
        await world.until_ready(1)
        claims = world.orchestrator.claims
        claims.queue()
        waits = asyncio.create_task(take_in_turn(world, []))
        await wait_until(lambda: claims.waiting == 2)
        world.clock.advance(GRACE + 1)
        server_id = await waits
        assert world.pool.servers[server_id].phase is Phase.CLAIMED
        assert claims.waiting == 0


async def test_who_gets_a_dead_server_gets_the_next_one_and_stays_first() -> None:
    async with World(2, interval=60).running() as world:
        await world.until_ready(2)
        claims = world.orchestrator.claims
        taken = [await claims.claim() for _ in range(2)]
        order: list[str] = []
        first, second = claims.queue(), claims.queue()
        waits = [
            asyncio.create_task(take_in_turn(world, order, ticket.id)) for ticket in (first, second)
        ]
        await wait_until(lambda: all(ticket.waits for ticket in (first, second)))
        give, dead = claims._handover.give, []

        async def first_one_is_dead(server: NotebookServer) -> bool:
            if not dead:
                dead.append(server)
                return False
            return await give(server)

        claims._handover.give = first_one_is_dead  # type: ignore[method-assign]  # one that died
        claims.close(taken[0])
        await wait_until(lambda: order, "one is served")
        claims.close(taken[1])
        given = await asyncio.gather(*waits)
        assert dead[0].reason is StopReason.EXITED
        assert dead[0].id not in given
        assert order == [first.id, second.id]


async def test_place_is_kept_while_the_proxy_is_away() -> None:
    async with World(1, interval=60).running() as world:
        await world.until_ready(1)
        claims = world.orchestrator.claims
        ticket = claims.queue()
        world.orchestrator.health.report("proxy", "it does not answer")
        with pytest.raises(ProxyError):
            await claims.claim_in_turn(ticket)
        assert claims.place(ticket).position == 1
        world.orchestrator.health.solved("proxy")
        assert (await claims.claim_in_turn(ticket)).phase is Phase.CLAIMED


async def test_it_is_nobodys_turn_while_visitors_are_not_served() -> None:
    async with World(1, interval=60).running() as world:
        await world.until_ready(1)
        claims, bars = world.orchestrator.claims, SimpleNamespace(barred=True)
        world.parts.stage.bars = bars  # type: ignore[assignment]  # as much of it as is asked
        ticket = claims.queue()
        waits = asyncio.create_task(claims.until_turn(ticket, 20, Presence()))
        assert not await claims.until_turn(ticket, 0.05, Presence())
        assert not waits.done()
        bars.barred = False
        world.parts.changes.tell(pass_now=False)
        assert await waits


async def test_a_newcomer_need_not_wait_behind_those_who_have_hung_up() -> None:
    async with World(1, interval=60).running() as world:
        await world.until_ready(1)
        claims, presence = world.orchestrator.claims, Presence()
        presence.leave()
        assert not await claims.until_turn(claims.queue(), 20, presence)
        assert (await claims.claim()).phase is Phase.CLAIMED


async def test_who_hangs_up_lets_the_next_one_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmpnb.orchestrator.claims.waiting.SLICE", 60.0)
    async with World(1, interval=60).running() as world:
        await world.until_ready(1)
        claims, presence = world.orchestrator.claims, Presence()
        first, behind = claims.queue(), claims.queue()
        with claims.staying(first, presence):
            waits = asyncio.create_task(claims.until_turn(behind, 50, Presence()))
            await wait_until(lambda: behind.waits)
            presence.leave()
        assert await waits


async def test_a_place_for_an_old_server_is_not_given_past_those_who_wait() -> None:
    async with World(1, interval=60).running() as world:
        await world.until_ready(1)
        claims = world.orchestrator.claims
        await claims.claim()
        ticket = claims.queue()
        world.pool.capacity = 2
        with pytest.raises(PoolEmptyError):
            await claims.claim_as("oldoldold")
        claims.leave(ticket.id)
        assert (await claims.claim_as("oldoldold")).phase is Phase.CLAIMED
