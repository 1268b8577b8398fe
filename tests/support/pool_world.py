"""A world for the pool to live in: engine, proxy, visitors, and the orchestrator's tasks.

Everything in it happens one step at a time, when it is told to. What it checks are
promises stated on their own terms, about the containers themselves; it never asks
`plan` whether `plan` was right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tmpnb.core.observation import Instance, Observation, Route
from tmpnb.core.plan import Plan, Policy, adopt, plan
from tmpnb.core.pool import Pool
from tmpnb.core.server import NotebookServer, Phase, StopReason

MAX_IDLE, MAX_AGE, GRACE, COMEBACK = 60.0, 3600.0, 30.0, 20.0  # seconds
BEGIN = 100_000.0


@dataclass
class Container:
    """One container of the engine, from its creation to its removal."""

    created_at: float
    address: str
    talks: bool  # whether it can say itself when it was last used
    running: bool = True
    paused: bool = False  # not running: somebody holds it
    returning: bool = False  # not running: the engine will start it again
    mark: float | None = None  # the claim, as the engine keeps it
    given_at: float | None = None  # to a visitor; the truth that nothing else knows
    has_visitor: bool = False  # somebody was sent there and works in it
    used_at: float = 0.0
    ghost: bool = False  # its creator did not wait for it

    @property
    def answers(self) -> bool:
        """Whether it says when it was last used; one that is held says nothing."""
        return self.talks and self.running


@dataclass
class View:
    """A look at the world in pieces, which may be late when it is complete."""

    taken_at: float
    launched: frozenset[str]  # starting servers that had a container by then
    instances: dict[str, Instance] | None = None
    routes: dict[str, Route] | None = None


class PoolWorld:
    """Pool, `plan` and `adopt` in a world that does not wait for them."""

    def __init__(self) -> None:
        self.now, self.names, self.hosts = BEGIN, 0, 0
        self.policy = Policy(
            3, min_ready=2, max_idle=MAX_IDLE, max_age=MAX_AGE, grace=GRACE, comeback=COMEBACK
        )
        self.engine: dict[str, Container] = {}
        self.proxy: dict[str, Route] = {}
        self.down_since: dict[str, float] = {}  # at the first of the looks that saw it down
        self.past: set[str] = set()  # ids that visitors have in their bookmarks
        self.new_process()

    def new_process(self) -> None:
        """Forget everything that is in the orchestrator's memory."""
        self.pool = Pool(self.policy.capacity, lambda: self.now)
        self.adopted = self.first_pass = False
        self.view: View | None = None
        self.places_of: dict[str, str] = {}  # a server that waits -> the one whose place it gets
        self.awaited: set[str] = set()  # started for one visitor
        self.given_up: set[str] = set()
        self.handing: list[NotebookServer] = []
        self.to_proxy: list[tuple[str, str | None]] = []  # id -> target, or None to delete
        self.claims = self.refusals = 0

    # What the orchestrator does with a plan

    def stop(self, server: NotebookServer, reason: StopReason) -> None:
        self.pool.move(server, Phase.STOPPING, reason)

    def launch(self, server_id: str) -> None:
        self.pool.add(NotebookServer(server_id, self.now, created_at=self.now))

    def apply(self, todo: Plan, view: View, culling: bool) -> None:
        known = self.pool.servers
        for server_id, reason in todo.stop.items():
            self.check_stop(server_id, reason, view, culling)
            if server_id not in known:
                self.launch(server_id)
            self.stop(known[server_id], reason)
        for server_id in todo.give_up:
            container = self.engine.get(server_id)
            assert container is None or not container.running, "gave up one that starts"
            self.given_up.add(server_id)
        for server_id, target in todo.add_routes.items():
            assert known[server_id].phase is Phase.CLAIMED, "a route to a server nobody has"
            known[server_id].address = target
            self.to_proxy.append((server_id, target))
        for server_id in todo.delete_routes:
            assert server_id not in known, "the route of a server was deleted"
            self.to_proxy.append((server_id, None))
        for _ in range(todo.launch):
            self.names += 1
            self.launch(f"s{self.names}")
            places = set(known) | {i for i, c in self.engine.items() if not c.ghost}
            assert len(places) <= self.policy.capacity, "started one more than there may be"

    def check_stop(self, server_id: str, reason: StopReason, view: View, culling: bool) -> None:
        """Nobody loses a notebook, unless by one of the reasons that were announced."""
        container, instances = self.engine.get(server_id), view.instances or {}
        if reason is StopReason.EXITED:
            self.check_exited(server_id, view)
        if container is None or not instances[server_id].running:
            return
        if reason is StopReason.UNKNOWN and not self.first_pass:
            assert view.taken_at - container.created_at >= GRACE, "its starter may still come"
        if container.given_at is None or not container.has_visitor:
            return
        routes = view.routes or {}
        age = view.taken_at - container.given_at
        if reason is StopReason.TOO_OLD:
            assert age > MAX_AGE
        elif reason is StopReason.IDLE:
            assert culling
            assert age > MAX_IDLE, "idle before it had the time to be"
            used_at = container.used_at if container.answers else routes[server_id].last_activity
            assert view.taken_at - used_at > MAX_IDLE
        else:  # its claim was written nowhere when both programs forgot it
            assert reason is StopReason.UNKNOWN
            assert instances[server_id].claimed_at is None
            assert server_id not in routes

    def check_exited(self, server_id: str, view: View) -> None:
        """Who may come back is waited for; one that was never given out is not."""
        seen, server = (view.instances or {}).get(server_id), self.pool.servers[server_id]
        if seen is None:
            return
        if server.phase is Phase.READY:
            assert not seen.running or seen.address != server.address, "called it exited"
            return
        assert not seen.running, "called a running one exited"
        assert not seen.paused, "a paused one serves on when it is resumed"
        if seen.returning:
            assert view.taken_at - self.down_since[server_id] > COMEBACK, "no time to come back"

    def begin(self, at: float) -> View:
        return View(at, frozenset(s.id for s in self.in_phase(Phase.STARTING) if s.address))

    def look_at_once(self, at: float) -> View:
        view = self.begin(at)
        self.look(view, engine=True, proxy=True)
        return view

    def look(self, view: View, *, engine: bool = False, proxy: bool = False) -> None:
        if engine:
            view.instances = {
                i: Instance(i, c.running, c.created_at, c.mark, c.address, c.paused, c.returning)
                for i, c in self.engine.items()
            }
        if proxy:
            view.routes = dict(self.proxy)

    def act(self, view: View, *, culling: bool) -> Plan:
        assert view.instances is not None
        assert view.routes is not None
        used = {
            i: c.used_at
            for i, c in self.engine.items()
            if culling and c.answers and i in self.pool.servers
        }
        down = [i for i, instance in view.instances.items() if not instance.running]
        self.down_since = {i: self.down_since.get(i, view.taken_at) for i in down}
        seen = Observation(
            view.taken_at,
            view.instances,
            view.routes,
            launched=view.launched,
            down_since=self.down_since,
            activity=used,
            silent=frozenset(i for i, c in self.engine.items() if not c.answers),
            culling=culling,
        )
        policy, self.first_pass = self.policy, not self.adopted
        if self.first_pass:
            policy, self.adopted = replace(policy, grace=0.0), True
            for server in adopt(seen):
                self.take_over(server, view)
        todo = plan(seen, self.pool.servers, policy)
        self.apply(todo, view, culling)
        return todo

    def take_over(self, server: NotebookServer, view: View) -> None:
        assert server.phase is Phase.CLAIMED, "one of unknown history could be handed out"
        self.pool.add(server)
        container = self.engine.get(server.id)
        if container is None:
            return
        assert container.given_at is not None or server.id in (view.routes or {}), "nobody's"
        if container.mark is None:
            container.given_at = container.created_at  # all that is left to know

    def hand_over(self, server: NotebookServer, *, marked: bool) -> None:
        container = self.engine.get(server.id)
        self.proxy[server.id] = Route(server.id, self.now, str(server.address))
        if container is not None and container.running and container.address == server.address:
            if server.phase is Phase.CLAIMED:
                container.has_visitor = True
                container.mark = server.claimed_at if marked else None
        elif server.phase is Phase.CLAIMED:
            self.stop(server, StopReason.EXITED)

    def note_claim(self, server: NotebookServer) -> None:
        container = self.engine.get(server.id)
        self.claims += 1
        if container is not None:
            assert container.given_at is None, "given to two visitors"
            container.given_at = self.now
        self.handing.append(server)
        self.past.add(server.id)

    def advance_start(self, server: NotebookServer, *, well: bool) -> None:
        """Take a starting server one step on: wait for a place, be created, answer."""
        if self.places_of.get(server.id) in self.pool.servers:
            return
        if server.id in self.given_up or not well:
            self.given_up.discard(server.id)
            self.awaited.discard(server.id)
            self.stop(server, StopReason.START_FAILED)
        elif server.address is None:
            self.create(server.id)
            server.address = self.engine[server.id].address
        elif server.id not in self.engine or not self.engine[server.id].running:
            return  # it does not answer; the wait ends at its deadline, or when a pass sees why
        elif server.id in self.awaited:
            self.awaited.discard(server.id)
            self.pool.claim_this(server)
            self.note_claim(server)
        else:
            self.pool.move(server, Phase.READY)

    def create(self, server_id: str, *, ghost: bool = False) -> None:
        self.hosts += 1
        address = f"http://10.0.0.{self.hosts}:8888"
        talks = bool(self.hosts % 2)
        self.engine[server_id] = Container(self.now, address, talks, used_at=self.now, ghost=ghost)

    def start_again(self, container: Container) -> None:
        """Do what an engine does by its restart policy: same files, another address."""
        self.hosts += 1
        container.running, container.paused, container.returning = True, False, False
        container.address = f"http://10.0.0.{self.hosts}:8888"

    def advance_stop(self, server: NotebookServer) -> None:
        """Take a stopping server one step on: route, container, gone."""
        if server.id in self.proxy:
            del self.proxy[server.id]
        elif server.id in self.engine:
            del self.engine[server.id]
        else:
            self.pool.move(server, Phase.GONE)

    def proxy_does(self, server_id: str, target: str | None) -> None:
        self.proxy.pop(server_id, None)
        if target is not None:
            self.proxy[server_id] = Route(server_id, self.now, target)

    def in_phase(self, phase: Phase) -> list[NotebookServer]:
        return [s for s in self.pool.servers.values() if s.phase is phase]

    # Promises

    def settle(self, culling: bool) -> None:
        """Nothing more happens: after a few passes all promises hold at once."""
        self.now += 1
        at = self.now + GRACE + 1  # one instant for all passes, later than every change
        for container in self.engine.values():
            if container.returning:
                self.start_again(container)
        for _ in range(4 * self.policy.capacity + 4):  # one after the other, where drained
            self.finish_tasks()
            self.act(self.look_at_once(at), culling=culling)
        last = self.act(self.look_at_once(at), culling=culling)
        assert last == Plan(), "a settled world needs no action"
        self.check_settled(at, culling)
        self.now = at

    def finish_tasks(self) -> None:
        for server in self.in_phase(Phase.STOPPING) + self.in_phase(Phase.STARTING):
            for _ in range(3):  # steps of a start, and of a stop
                if server.phase is Phase.STARTING:
                    self.advance_start(server, well=True)
                elif server.phase is Phase.STOPPING:
                    self.advance_stop(server)
        while self.handing:
            self.hand_over(self.handing.pop(0), marked=True)
        while self.to_proxy:
            self.proxy_does(*self.to_proxy.pop(0))

    def check_settled(self, at: float, culling: bool) -> None:
        ready, claimed = self.in_phase(Phase.READY), self.in_phase(Phase.CLAIMED)
        assert set(self.engine) == set(self.pool.servers), "what was stopped is gone"
        assert {s.id for s in ready + claimed} == set(self.pool.servers)
        assert all(c.running or c.paused for c in self.engine.values()), "the dead are not counted"
        assert not any(s.drained for s in ready), "the drained are replaced"
        assert set(self.proxy) == {s.id for s in claimed}, "routed means claimed"
        room = self.policy.capacity - len(claimed)
        assert len(ready) <= max(0, room), "never above capacity"
        assert len(ready) >= min(self.policy.min_ready, room), "the pool is warm again"
        for server in claimed:
            container, route = self.engine[server.id], self.proxy[server.id]
            assert route.target == container.address
            assert container.given_at is not None
            assert at - container.given_at <= MAX_AGE
            used_at = container.used_at if container.answers else route.last_activity
            assert not culling or at - max(container.given_at, used_at) <= MAX_IDLE
        for server in ready:
            assert self.engine[server.id].given_at is None, "could be given a second time"
