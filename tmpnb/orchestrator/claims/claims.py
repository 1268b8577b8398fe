"""Give servers to visitors: only living ones, each once, and nobody before their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AbstractContextManager

from tmpnb.core.pool import Pool
from tmpnb.core.refusals import Refusal
from tmpnb.core.server import NotebookServer, Phase, StopReason
from tmpnb.errors import (
    NoPlaceError,
    ProxyError,
    ServerExistsError,
    ServerStartsError,
    SpawnerError,
)
from tmpnb.orchestrator.bars import Stage
from tmpnb.orchestrator.changes import Changes
from tmpnb.orchestrator.claims.claim_meter import ClaimMeter, Given
from tmpnb.orchestrator.claims.handover import QUESTION_TIMEOUT, HandOver
from tmpnb.orchestrator.claims.keeps import Keeps
from tmpnb.orchestrator.claims.line import Ticket
from tmpnb.orchestrator.claims.waiting import Place, WaitingRoom
from tmpnb.orchestrator.lifecycle import Fleet
from tmpnb.orchestrator.rollout import Rollout
from tmpnb.orchestrator.shared import Shared
from tmpnb.system.http.presence import Presence

CLAIM_TIMEOUT = 12.0  # seconds of a claim, with all servers that turn out to be dead on the way


class Claims:
    """What a visitor can ask of the pool."""

    def __init__(
        self,
        *,
        shared: Shared,
        pool: Pool,
        fleet: Fleet,
        handover: HandOver,
        keeps: Keeps,
        room: WaitingRoom,
        rollout: Rollout,
        stage: Stage,
        changes: Changes,
    ) -> None:
        """Keep what is needed.

        Args:
            shared: The proxy, which knows which addresses are in use, and what is wrong.
            pool: The servers there are.
            fleet: Starts and stops them.
            handover: The part of a claim that reaches outside.
            keeps: Knows what visitors asked to keep.
            room: Where visitors wait in line.
            rollout: Knows what a new server is started from.
            stage: Whether visitors are served at all: not before the servers of a
                former orchestrator are known, and not while we end.
            changes: Is told when a server is given out.
        """
        self._pool, self._fleet, self._handover = pool, fleet, handover
        self._proxy, self._health, self._keeps = shared.proxy, shared.health, keeps
        self._room, self._rollout, self._stage, self._changes = room, rollout, stage, changes
        self.meter = ClaimMeter(shared.clock, pool.refusals)

    @property
    def waiting(self) -> int:
        """How many visitors wait in line."""
        return len(self._room.line)

    @property
    def urgent(self) -> bool:
        """Whether visitors wait, or the next would have to though there is room for a server."""
        short = self._pool.oldest_ready() is None and self._pool.has_room()
        return self.waiting > 0 or short

    def live(self, server_id: str) -> NotebookServer | None:
        """Return the server of this id if a visitor has it now."""
        server = self._pool.servers.get(server_id)
        return server if server is not None and server.phase is Phase.CLAIMED else None

    def live_among(self, server_ids: Collection[str]) -> set[str]:
        """Return those of some ids whose servers visitors have now."""
        return {server_id for server_id in server_ids if self.live(server_id) is not None}

    def waiting_among(self, ticket_ids: Collection[str]) -> set[str]:
        """Return those of some tickets that stand for a place in line."""
        return self._room.line.among(ticket_ids)

    async def claim(self) -> NotebookServer:
        """Give a visitor a ready server: seen alive just now, routed, marked as claimed.

        Raises:
            PoolEmptyError: None is ready, or others wait for those that are.
            ProxyError: The proxy does not answer, or refuses the route.
        """
        with self.meter.claim(Given.READY):
            return await self._claim()

    async def _claim(self) -> NotebookServer:
        self.require_service()
        deadline = asyncio.get_running_loop().time() + CLAIM_TIMEOUT
        await self._require_answer_if_engine_is_down()
        while True:
            if self._room.must_wait():
                self._pool.refuse()
            self._require_time(deadline)
            server = self._pool.claim()
            try:
                if await self._give(server):
                    return server
            except SpawnerError:
                self._pool.refuse(Refusal.ENGINE)

    def ticket(self, ticket_id: str) -> Ticket | None:
        """Return the place in line that an id stands for, if it is not lost."""
        return self._room.line.find(ticket_id) if ticket_id else None

    def queue(self) -> Ticket:
        """Return a new place at the end of the line.

        Raises:
            LineFullError: Too many wait already.
        """
        with self.meter.refusal():
            return self._room.line.join()

    def take_over(self, mine: Ticket, other: Ticket) -> None:
        """Let one who has two places keep the first of them, with the ticket that is theirs."""
        line = self._room.line
        if line.position(other) < line.position(mine):
            line.swap(mine, other)
        self.set_aside(other)

    def set_aside(self, ticket: Ticket) -> None:
        """Let a place count no more, unless its holder comes back to it in time."""
        self._room.line.set_aside(ticket)
        self._room.look_again()

    def return_to(self, ticket_id: str) -> Ticket | None:
        """Return the place of its holder, as `ticket`, also if it was set aside."""
        return self._room.line.return_to(ticket_id) if ticket_id else None

    def place(self, ticket: Ticket) -> Place:
        """Return what the one who waits with a ticket is told."""
        return self._room.place(ticket)

    def staying(self, ticket: Ticket, presence: Presence) -> AbstractContextManager[None]:
        """Keep a place in line for as long as somebody is there."""
        return self._room.staying(ticket, presence)

    async def until_turn(self, ticket: Ticket, seconds: float, presence: Presence) -> bool:
        """Wait in line; whether it is the ticket's turn to `claim_in_turn`.

        It is nobody's who has left, and nobody's at all while visitors are not served.

        Raises:
            TicketError: The place is lost.
        """
        return await self._room.until_turn(ticket, seconds, presence)

    async def staying_until_turn(self, ticket: Ticket, seconds: float, presence: Presence) -> bool:
        """Wait as by `until_turn`, for one whose place is kept by `staying` already."""
        return await self._room.staying_until_turn(ticket, seconds, presence)

    async def claim_in_turn(self, ticket: Ticket) -> NotebookServer:
        """Give a server, as by `claim`, to one whose turn it is.

        Raises:
            PoolEmptyError: It is not, or not any more: wait again.
            ProxyError: The proxy does not answer, or refuses the route; the place is kept.
        """
        with self.meter.claim(Given.READY, ticket):
            return await self._claim_in_turn(ticket)

    async def _claim_in_turn(self, ticket: Ticket) -> NotebookServer:
        self.require_service()
        deadline = asyncio.get_running_loop().time() + CLAIM_TIMEOUT
        await self._require_answer_if_engine_is_down()
        while True:
            self._require_time(deadline)
            server, given = self._room.claim(ticket), False
            try:
                given = await self._give(server)
            except SpawnerError:
                self._pool.refuse(Refusal.ENGINE)
            finally:
                if not given:
                    self._room.line.put_back(ticket)
            if given:
                return server

    def take_back(self, server_id: str, ticket: Ticket | None) -> None:
        """Stop a server that was given to one who had left by then; they keep their place.

        Args:
            server_id: Of the server.
            ticket: That stood for the place; None for one who had none.
        """
        self.abandon(server_id)
        if ticket is not None:
            self._room.line.put_back(ticket, left=True)

    def leave(self, ticket_id: str) -> None:
        """Give up a place in line."""
        self._room.line.leave(ticket_id)

    async def claim_as(self, server_id: str, ticket: Ticket | None = None) -> NotebookServer:
        """Start a new, empty server under an id of the past, and give it out.

        When the pool has no room, one ready server makes place for it. The line is the same as
        for those: whoever comes now goes behind it.

        Args:
            server_id: The id.
            ticket: Of one whose turn it is; None for one who comes now.

        Raises:
            ServerExistsError: The id is in use, here or by somebody else.
            PoolEmptyError: There is neither room nor a ready server, or others come first.
            SpawnerError: It did not start, or nothing does for now. One that was tried costs
                the place in line.
            ProxyError: The proxy does not answer, or refuses the route.
        """
        with self.meter.claim(Given.NEW, ticket):
            return await self._claim_as(server_id, ticket)

    async def _claim_as(self, server_id: str, ticket: Ticket | None) -> NotebookServer:
        self.require_service()
        self._health.require_starts(has_room=self._pool.has_room())
        if await self._proxy.route_exists(server_id) or server_id in self._pool.servers:
            raise ServerExistsError(f"the address of server {server_id} is in use")
        given_up, keeps_place = self._room.make_place(ticket), True
        leaving = self._fleet.stop(given_up, StopReason.SURPLUS) if given_up else None
        try:
            server = await self._start_as(server_id, leaving)
            keeps_place = False
        except SpawnerError as error:
            # Where it was theirs that failed, and not the pool's, those behind come first now.
            keeps_place = isinstance(error, NoPlaceError) or "engine" in self._health.problems
            raise
        finally:
            if ticket is not None and keeps_place:
                self._room.line.put_back(ticket)
        return server

    async def _start_as(self, server_id: str, leaving: asyncio.Task[None] | None) -> NotebookServer:
        server = await self._fleet.launch_claimed(server_id, self._rollout.image, after=leaving)
        if not await self._give(server):
            raise SpawnerError(f"server {server_id} died while it was handed over")
        return server

    def keep(self, server: NotebookServer) -> None:
        """Let the idle clock of a claimed server begin anew; its age goes on."""
        self._keeps.keep(server)

    def use(self, server: NotebookServer) -> None:
        """Let the idle clock begin anew for what its visitor does just now, however often."""
        self._keeps.use(server)

    def close(self, server: NotebookServer) -> None:
        """Stop a claimed server because its visitor says so."""
        self._fleet.stop(server, StopReason.CLOSED)

    def stop(self, server: NotebookServer) -> None:
        """Stop a server because the operator says so, whoever has it.

        Raises:
            ServerStartsError: Its start is under way, and nobody has it yet.
        """
        if server.phase is Phase.STARTING:
            raise ServerStartsError(f"server {server.id} is being started; nobody has it yet")
        if server.phase in (Phase.READY, Phase.CLAIMED):
            self._fleet.stop(server, StopReason.STOPPED)

    def abandon(self, server_id: str) -> None:
        """Stop a server whose visitor left before it could be told of it."""
        server = self.live(server_id)
        if server is not None:
            self._fleet.stop(server, StopReason.ABANDONED)

    def require_service(self) -> None:
        """Refuse before a server is spent on a visitor who could not reach it.

        Raises:
            PoolEmptyError: Nobody is served for now.
            ProxyError: The proxy does not answer.
        """
        if not self._stage.serves:
            self._pool.refuse(Refusal.NOT_SERVING)
        problem = self._health.problems.get("proxy")
        if problem is not None:
            raise ProxyError(problem.message)

    def _require_time(self, deadline: float) -> None:
        """Refuse rather than ask one more server that may hang, and end it for that.

        Raises:
            PoolEmptyError: There is not enough time left for an answer.
        """
        if asyncio.get_running_loop().time() + QUESTION_TIMEOUT > deadline:
            self._pool.refuse()

    def require_refill(self) -> None:
        """Refuse before a visitor gives a server up in vain: there would be no other for them.

        Raises:
            PoolEmptyError: Nobody is served for now, or nothing can be started.
            ProxyError: The proxy does not answer.
        """
        with self.meter.refusal():
            self.require_service()
        if {"engine", "start"} & self._health.problems.keys():
            self._pool.refuse(Refusal.ENGINE)

    async def _require_answer_if_engine_is_down(self) -> None:
        """While the engine is away, spend no server on a visitor that no server could answer."""
        server = self._pool.oldest_ready()
        if server is None or "engine" not in self._health.problems:
            return
        if not await self._handover.answers(server):
            self._pool.refuse(Refusal.ENGINE)

    async def _give(self, server: NotebookServer) -> bool:
        """Hand a claimed server over; one that cannot be handed over is stopped."""
        self._changes.tell()
        reason, given = StopReason.EXITED, False
        try:
            given = await self._handover.give(server)
        except ProxyError:
            reason = StopReason.UNROUTABLE
            raise
        finally:
            if not given and server.phase is Phase.CLAIMED:
                self._fleet.stop(server, reason)
        return given
