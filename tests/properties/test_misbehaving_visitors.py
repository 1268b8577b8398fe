"""Visitors who reload, hang up, come twice, start fresh, reopen: nobody is harmed, over HTTP.

Nobody loses a server or a place but by their own word or by time; nobody is served out of
turn; no id or token opens the server of another.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from hypothesis import HealthCheck, settings
from hypothesis import Phase as Phases
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.support.callers import FORM, Caller
from tests.support.running_site import SCRIPT, Running
from tests.support.world import wait_until
from tmpnb.core.server import Phase
from tmpnb.orchestrator.claims.line import GRACE
from tmpnb.visitors.identity import COOKIE

T = TypeVar("T")
CAPACITY, VISITORS = 2, 5
PAST = "/spawn/user/{}/lab"
ASKED_ABOUT = "/spawn/tree/a.txt"  # a link whose answer takes a question to the server


@dataclass
class Browser:
    """What one visitor has, as far as they were told."""

    name: int
    cookie: str = ""
    ticket: str = ""
    url: str = ""
    old_id: str = ""  # of their server that has ended
    is_away: bool = False  # the last request was dropped: nobody waits for them

    @property
    def server_id(self) -> str:
        return self.url.split("/")[2] if self.url else ""

    @property
    def token(self) -> str:
        return self.url.rpartition("token=")[2]


class Misbehaving(RuleBasedStateMachine):
    """A service with few servers, and visitors who do as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.stack = asyncio.Runner(), AsyncExitStack()
        self.browsers = [Browser(name) for name in range(VISITORS)]
        self.line: list[Browser] = []  # who was given a place, in the order they were
        self.strangers = 0  # who may have one and never come back: no cookie, and gone
        self.run(self.begin())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the service's loop, and let all that follows from it happen."""

        async def whole() -> T:
            done = await work
            await self.settle()
            return done

        return self.runner.run(whole())

    async def begin(self) -> None:
        self.running = Running(CAPACITY, self.stack)
        self.stack.push_async_callback(self.running.world.engine.close)
        await self.running.start()
        self.world = self.running.world
        self.address = self.running.serve_public()

    async def settle(self) -> None:
        moving = (Phase.STARTING, Phase.STOPPING)
        await wait_until(
            lambda: (
                not self.running.site.visitors._asking
                and len(self.world.pool.servers) == CAPACITY
                and not any(self.world.servers(phase) for phase in moving)
            )
        )

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    # What browsers do

    async def post(self, one: Browser, path: str = "/spawn", **form: Any) -> None:
        """Ask once and note what is said."""
        headers = SCRIPT | FORM | ({"Cookie": one.cookie} if one.cookie else {})
        body = urlencode({"ticket": one.ticket} | form)
        answer = await self.running.fetch(self.address + path, "POST", headers=headers, body=body)
        assert answer.code in (200, 503, 409), answer.body
        if answer.code == 409:
            return
        one.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        assert one.cookie.startswith(COOKIE)
        self.note(one, json.loads(answer.body))

    def note(self, one: Browser, told: dict[str, Any]) -> None:
        if "url" in told:
            one.url, one.ticket, one.is_away = told["url"], "", False
            if one in self.line:
                self.line.remove(one)
            return
        had, one.ticket, one.is_away = one.ticket, told["ticket"], False
        if one not in self.line:
            self.line.append(one)
        elif had:
            assert told["ticket"] == had, "the place was lost"
        place = self.line.index(one) + 1
        assert place <= told["position"] <= place + self.strangers

    def may_be_served(self, one: Browser) -> bool:
        """Whether it is the turn of one who asks now."""
        before = self.line[: self.line.index(one)] if one in self.line else self.line
        waiting = sum(not other.is_away for other in before)
        return waiting < len(self.world.servers(Phase.READY))

    def has_server(self, one: Browser) -> bool:
        """Whether they were given one, of which they know nothing if they hung up too early."""
        visitors = self.running.site.visitors
        visitor = visitors.read(one.cookie.partition("=")[2])
        return visitors.server_of(visitor) is not None

    def ask(self, one: Browser, path: str = "/spawn", tabs: int = 1, **form: Any) -> None:
        had, in_turn = one.url, self.has_server(one) or self.may_be_served(one)
        self.run(self.tabs(one, path, tabs, form))
        if one.url != had:
            assert in_turn, "somebody was served out of turn"

    async def tabs(self, one: Browser, path: str, tabs: int, form: dict[str, Any]) -> None:
        await asyncio.gather(*(self.post(one, path, **form) for _ in range(tabs)))

    who = st.integers(0, VISITORS - 1)

    @rule(who=who)
    def comes_or_reloads(self, who: int) -> None:
        self.ask(self.browsers[who])

    @rule(who=who)
    def opens_tabs_at_once(self, who: int) -> None:
        if self.browsers[who].cookie:  # else they are as many strangers
            self.ask(self.browsers[who], tabs=3)

    @rule(who=who, other=who)
    def shows_the_ticket_of_another(self, who: int, other: int) -> None:
        """Whoever waits as well goes before its holder, who loses nothing but that one place."""
        one, holder = self.browsers[who], self.browsers[other]
        if one is holder or not one.cookie or holder not in self.line or not holder.ticket:
            return
        here = self.line.index(holder)
        if one in self.line:
            there = self.line.index(one)
            if here < there:
                self.line[here], self.line[there] = one, holder
        self.ask(one, ticket=holder.ticket)
        self.ask(holder)

    @rule(who=who, waits=st.booleans())
    def hangs_up(self, who: int, waits: bool) -> None:
        one = self.browsers[who]
        self.strangers += not one.cookie
        self.run(self.drop(one, waits=waits))
        if one in self.line and self.has_server(one):  # but has not read so
            self.line.remove(one)
            one.ticket = ""
        visitors = self.running.site.visitors
        ticket_id = visitors.ticket_of(visitors.read(one.cookie.partition("=")[2]))
        if one not in self.line and self.world.orchestrator.claims.ticket(ticket_id):
            one.ticket = ticket_id  # as their cookie says, though they were not told
            self.line.append(one)
        one.is_away = one in self.line and self.is_away(one)

    def is_away(self, one: Browser) -> bool:
        ticket = self.world.orchestrator.claims.ticket(one.ticket)
        return ticket is not None and ticket.left

    async def drop(self, one: Browser, *, waits: bool) -> None:
        headers = SCRIPT | FORM | ({"Cookie": one.cookie} if one.cookie else {})
        form = urlencode({"ticket": one.ticket, "wait": 20 if waits else 0})
        caller = await Caller(self.address, ASKED_ABOUT, headers, body=form).call()
        begins = asyncio.ensure_future(caller.first_byte())
        await wait_until(lambda: begins.done() or self.running.site.visitors._asking)
        begins.cancel()
        caller.close()

    @rule(who=who)
    def starts_afresh(self, who: int) -> None:
        one = self.browsers[who]
        if one.url:
            one.old_id, one.url = one.server_id, ""  # by their own word
        self.ask(one, fresh=1)

    @rule(who=who)
    def closes(self, who: int) -> None:
        one = self.browsers[who]
        if one.url:
            self.run(self.delete(one))

    async def delete(self, one: Browser) -> None:
        address = f"{self.address}/api/servers/{one.server_id}"
        headers = {"Authorization": f"token {one.token}"}
        answer = await self.running.fetch(address, "DELETE", headers=headers)
        assert answer.code == 204
        one.old_id, one.url = one.server_id, ""

    @rule(who=who)
    def reopens(self, who: int) -> None:
        one = self.browsers[who]
        if one.old_id and not one.url:
            self.ask(one, PAST.format(one.old_id))

    @rule()
    def time_goes_by(self) -> None:
        """All who do not come back in time lose their places."""
        self.world.clock.advance(GRACE + 1)
        self.line.clear()
        self.strangers = 0
        for one in self.browsers:
            one.ticket, one.is_away = "", False

    # What is promised

    @invariant()
    def nobody_loses_a_server(self) -> None:
        live = {server.id for server in self.world.servers(Phase.CLAIMED)}
        told = [one.server_id for one in self.browsers if one.url]
        assert set(told) <= live
        assert len(set(told)) == len(told), "one server has two visitors"

    @invariant()
    def nobody_has_two_places(self) -> None:
        claims = self.world.orchestrator.claims
        assert claims.waiting_among([one.ticket for one in self.line]) == {
            one.ticket for one in self.line
        }
        assert claims.waiting <= len(self.line) + self.strangers

    @invariant()
    def no_token_opens_the_server_of_another(self) -> None:
        having = [one for one in self.browsers if one.url]
        for one in having:
            for other in having:
                if one is not other:
                    self.run(self.is_refused(one, other))

    async def is_refused(self, one: Browser, other: Browser) -> None:
        headers = {"Authorization": f"token {one.token}"}
        address = f"{self.address}/api/servers/{other.server_id}"
        assert (await self.running.fetch(address, headers=headers)).code == 401


TestMisbehaving = Misbehaving.TestCase
TestMisbehaving.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    phases=[Phases.generate],  # who hangs up when is never quite the same: no use in shrinking
    deadline=None,  # the machine it runs on may be slow
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
