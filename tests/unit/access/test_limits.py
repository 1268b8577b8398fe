"""What one client may take: at a time and a minute, counted without a gap and within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from ipaddress import ip_address

import pytest

from tests.support.world import FakeClock
from tmpnb.access import rate_window
from tmpnb.access.client_address import Client
from tmpnb.access.holdings import SPARE, Holdings
from tmpnb.access.limits import Admission, Allowance, ClientLimits
from tmpnb.access.rate_window import Windows
from tmpnb.core.server import NotebookServer
from tmpnb.errors import ClientLimitError, PoolEmptyError, ProxyError, SpawnerError
from tmpnb.orchestrator.claims.line import Line, Ticket

ONE = Client(ip_address("192.0.2.1"))
OTHER = Client(ip_address("192.0.2.2"))


class Desk:
    """Servers that are given out, and a line."""

    def __init__(self, *, servers: int = 0, a_minute: int = 0) -> None:
        self.clock = FakeClock()
        self.live: set[str] = set()
        self.line = Line(self.clock, 100)
        self.given = 0
        self.limits = ClientLimits(
            Allowance(servers, a_minute),
            self.clock,
            claimed=lambda ids: self.live & set(ids),
            waiting=self.line.among,
        )

    def admission(self, client: Client = ONE, *, exempt: bool = False) -> Admission:
        return Admission(self.limits, client, exempt=exempt)

    async def claim(self, *_: Ticket) -> NotebookServer:
        await asyncio.sleep(0)
        server = NotebookServer(f"s{self.given}", 0.0)
        self.given += 1
        self.live.add(server.id)
        return server

    async def take(self, client: Client = ONE) -> NotebookServer:
        return await self.admission(client).take(self.claim)


async def fail(*_: Ticket) -> NotebookServer:
    await asyncio.sleep(0)
    raise PoolEmptyError("none")


@pytest.mark.gen_test
class TestAtATime:
    async def test_one_client_has_so_many_and_another_as_many_again(self) -> None:
        desk = Desk(servers=2)
        for client in (ONE, OTHER):
            for _ in "ab":
                await desk.take(client)
            with pytest.raises(ClientLimitError) as refused:
                await desk.take(client)
            assert "2 of the 2 notebooks" in str(refused.value)
            assert "--client-servers" in str(refused.value)
            assert refused.value.retry_after > 0
        assert (desk.given, desk.limits.refused) == (4, 2)

    async def test_a_server_that_ended_makes_room(self) -> None:
        desk = Desk(servers=1)
        server = await desk.take()
        desk.live.remove(server.id)
        await desk.take()
        assert desk.given == 2

    async def test_claims_under_way_count(self) -> None:
        desk = Desk(servers=3)
        found = await asyncio.gather(*(desk.take() for _ in range(50)), return_exceptions=True)
        assert desk.given == 3
        assert sum(isinstance(f, ClientLimitError) for f in found) == 47

    async def test_a_claim_that_failed_counts_no_more(self) -> None:
        desk = Desk(servers=1)
        for _ in range(3):
            with pytest.raises(PoolEmptyError):
                await desk.admission().take(fail)
        await desk.take()

    async def test_places_in_line_count_until_they_are_lost(self) -> None:
        desk = Desk(servers=2)
        tickets = [desk.admission().queue(desk.line.join) for _ in "ab"]
        for act in (lambda: desk.admission().queue(desk.line.join), desk.admission().require):
            with pytest.raises(ClientLimitError):
                act()
        with pytest.raises(ClientLimitError):
            await desk.take()
        assert len(desk.line) == 2
        desk.line.leave(tickets[0].id)
        await desk.take()

    async def test_a_place_becomes_a_server_and_is_counted_once(self) -> None:
        desk = Desk(servers=2)
        await desk.take()
        ticket = desk.admission().queue(desk.line.join)
        desk.line.admit(ticket)
        await desk.admission().redeem(ticket, desk.claim)
        with pytest.raises(ClientLimitError):
            await desk.take()
        assert desk.given == 2

    async def test_a_place_that_is_being_redeemed_is_not_counted_beside_its_claim(self) -> None:
        desk = Desk(servers=2)
        ticket = desk.admission().queue(desk.line.join)

        async def claim(_: Ticket) -> NotebookServer:
            desk.admission().require()  # one more is allowed while this one is under way
            return await desk.claim()

        await desk.admission().redeem(ticket, claim)
        assert desk.limits.refused == 0

    async def test_a_place_is_kept_when_the_claim_failed(self) -> None:
        desk = Desk(servers=1)
        ticket = desk.admission().queue(desk.line.join)
        with pytest.raises(PoolEmptyError):
            await desk.admission().redeem(ticket, fail)
        with pytest.raises(ClientLimitError):
            await desk.take()

    async def test_one_who_closes_the_own_server_first_has_room(self) -> None:
        desk = Desk(servers=1)
        server = await desk.take()
        desk.admission().require(closing=server.id)
        with pytest.raises(ClientLimitError):
            desk.admission().require()

    async def test_closing_a_server_makes_no_room_for_another_client(self) -> None:
        desk = Desk(servers=1)
        await desk.take()
        elsewhere = await desk.take(OTHER)
        with pytest.raises(ClientLimitError):
            desk.admission().require(closing=elsewhere.id)

    async def test_who_comes_back_after_a_restart_is_counted_from_then_on(self) -> None:
        desk = Desk(servers=1)
        desk.live.add("adopted")
        desk.admission().recognise(NotebookServer("adopted", 0.0))
        desk.admission(OTHER).recognise(NotebookServer("adopted", 0.0))  # it was known already
        with pytest.raises(ClientLimitError):
            await desk.take()
        await desk.take(OTHER)

    async def test_an_exempt_client_is_not_counted(self) -> None:
        desk = Desk(servers=1, a_minute=1)
        free = desk.admission(exempt=True)
        for _ in range(5):
            server = await free.take(desk.claim)
            assert server.client is not None, "whom to ask is known all the same"
            free.recognise(server)
            await free.redeem(free.queue(desk.line.join), desk.claim)
        assert desk.given == 10
        await desk.take()

    async def test_zero_is_no_limit(self) -> None:
        desk = Desk()
        for _ in range(100):
            await desk.take()
        assert desk.limits.refused == 0


@pytest.mark.gen_test
class TestAMinute:
    @pytest.mark.parametrize("error", [SpawnerError("no"), ProxyError("no"), PoolEmptyError("no")])
    async def test_an_attempt_that_fails_counts(self, error: Exception) -> None:
        desk, tries = Desk(a_minute=2), 0

        async def fail() -> NotebookServer:
            nonlocal tries
            tries += 1
            raise error

        for expected in (type(error), type(error), ClientLimitError, ClientLimitError):
            with pytest.raises(expected):
                await desk.admission().take(fail)
        assert tries == 2
        await desk.admission(exempt=True).take(desk.claim)
        desk.clock.advance(60)
        await desk.take()

    async def test_an_attempt_that_became_a_place_counts_once(self) -> None:
        desk = Desk(a_minute=2)
        for _ in "ab":
            admission = desk.admission()
            with pytest.raises(PoolEmptyError):
                await admission.take(fail)
            admission.queue(desk.line.join)
        with pytest.raises(ClientLimitError):
            desk.admission().require()

    async def test_so_many_a_minute_even_if_they_end_at_once(self) -> None:
        desk = Desk(a_minute=2)
        for _ in "ab":
            desk.live.discard((await desk.take()).id)
            desk.clock.advance(20)
        with pytest.raises(ClientLimitError) as refused:
            await desk.take()
        assert "--client-rate" in str(refused.value)
        assert 18 <= refused.value.retry_after <= 21
        await desk.take(OTHER)
        desk.clock.advance(refused.value.retry_after)
        await desk.take()

    async def test_claims_under_way_and_places_count(self) -> None:
        desk = Desk(a_minute=2)
        desk.admission().queue(desk.line.join)
        found = await asyncio.gather(*(desk.take() for _ in "abc"), return_exceptions=True)
        assert sum(isinstance(f, ClientLimitError) for f in found) == 2


def test_windows_forget_what_is_old_and_who_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_window, "REMEMBERED", 3)
    clock = FakeClock()
    seen = Windows(clock, span=10.0, most=4)
    for _ in range(9):
        seen.add("a")
    assert seen.count("a") == 4
    assert 9 < seen.seconds_until_fewer("a") <= 10
    clock.advance(11)
    assert (seen.count("a"), seen.seconds_until_fewer("a"), len(seen)) == (0, 0.0, 0)
    for name in "abcde":
        seen.add(name)
    assert [seen.count(name) for name in "abcde"] == [0, 0, 1, 1, 1]


def test_holdings_do_not_grow_with_what_is_gone() -> None:
    live: set[str] = set()

    def still(things: Collection[str]) -> set[str]:
        return live & set(things)

    held = Holdings(still)
    for number in range(50 * SPARE):
        live = {f"t{number}"}
        held.add(f"name{number}", f"t{number}")
    assert len(held) == len(held._held) <= 2 * SPARE
    assert held.count(f"name{50 * SPARE - 1}") == 1
    held.add("heir", f"t{50 * SPARE - 1}")
    assert (held.count(f"name{50 * SPARE - 1}"), held.count("heir")) == (0, 1)
